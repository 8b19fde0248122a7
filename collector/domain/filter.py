"""Filters of events: text in, what to look for out. So far a filter is one reference id."""

import re
from typing import Final

from collector.domain.errors import BadRequest

_REFERENCE: Final = re.compile(r'\s*reference(?:_id)?:("?)([a-zA-Z0-9-]{1,100})\1\s*')


def reference_of(text: str) -> str:
    """The reference id in `reference:X` or `reference_id:X`; raises BadRequest for any other filter."""
    found = _REFERENCE.fullmatch(text)
    if found is None:
        raise BadRequest("The only filter that is supported is reference:<reference id>.")
    return found[2]

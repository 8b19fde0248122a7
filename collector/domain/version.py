"""Versions of applications in SemVer 2 order: numbers compare as numbers, a pre-release precedes its release.

Common deviations are accepted: one to six numbers (.NET has four), a leading `v`, and a pre-release without
its hyphen (`1.2rc1`). Build metadata and anything after a space are ignored.
"""

import re
from functools import lru_cache
from typing import Final

NUMBERS: Final = 6
LONGEST_PRE_RELEASE: Final = 100
"""Characters beyond are ignored."""
RELEASE: Final = "2"
"""Sorts after every identifier of a pre-release."""

_VERSION: Final = re.compile(
    r"[ \t]*[vV]?(?![0-9.]*[0-9]{10})([0-9]{1,9}(?:[.][0-9]{1,9}){0,5})"
    r"(?:(?:-|(?=[A-Za-z]))([0-9A-Za-z.-]+))?"
)


def is_version(text: str) -> bool:
    """Whether the text can be compared as a version."""
    return bool(precedence(text))


def is_older(version: str | None, than: str) -> bool:
    """Whether `version` precedes `than`; a missing or unreadable version precedes every other."""
    return precedence(version or "") < precedence(than)


@lru_cache(maxsize=256)
def precedence(text: str) -> tuple[str, ...]:
    """A sort key: strings that compare element by element, by code point, as the versions do.

    The numbers, then the identifiers of the pre-release or `RELEASE`; empty if the text is not a version.
    `collector.database.search.value_sql` compares stored versions by the same rule.
    """
    found = _VERSION.match(text)
    if found is None:
        return ()
    numbers = [number.zfill(9) for number in found[1].split(".")]
    numbers += ["0" * 9] * (NUMBERS - len(numbers))
    if found[2] is None:
        return (*numbers, RELEASE)
    # Numeric identifiers precede the others; among them, the one with fewer digits is the smaller number.
    identifiers = []
    for text_part in found[2][:LONGEST_PRE_RELEASE].split("."):
        digits = text_part.lstrip("0") or "0"
        identifiers.append(f"0{len(digits):03}{digits}" if text_part.isdigit() else f"1{text_part}")
    return (*numbers, *identifiers)

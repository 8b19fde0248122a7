"""Parses a post's decompressed bytes into raw events (contract 3.4): JSON, or lines of text.

The first character decides, not the content type: `{` starts one event, `[` an array of events. Anything
that is not JSON of that shape, or contains no event, is text with one event per line. Events that nest too
deep are set aside individually.
"""

import re
from dataclasses import dataclass
from encodings.aliases import aliases
from functools import lru_cache
from itertools import islice
from typing import Any, Final

from collector.domain.event.outcome import DeadLetterReason
from collector.domain.intake.cost import MAXIMUM_EVENTS_PER_POST
from collector.domain.intake.decompress import UnstorablePost
from collector.domain.jsonb.text import (
    MAXIMUM_DEPTH,
    has_more_objects,
    is_too_deep,
    parse_object,
    parse_objects,
    repair_escapes,
    replace_nul,
    split_array,
)

_CHARSET: Final = re.compile(r"""charset\s*=\s*["']?([\w.:-]+)""", re.IGNORECASE)
_IS_CHARSET: Final = re.compile(
    r"utf_(8|16|32)|ascii|latin|iso8859|cp\d|koi8|mac|gb|big5|hz|shift_jis|euc_|iso2022|johab|tis_620"
)
_CHARSETS: Final = frozenset(filter(_IS_CHARSET.match, aliases.values()))
"""Excludes codecs of Python that are not charsets (`idna`, `zlib`) or can produce surrogates (`utf_7`)."""
_UTF8: Final = ("utf-8", "utf_8")
MAXIMUM_ARRAY_DEPTH: Final = MAXIMUM_DEPTH + 1
"""The array around the events does not count as a level of an event."""
_LINE: Final = re.compile(r"[^\r\n]++")


@dataclass(frozen=True, slots=True)
class TooDeep:
    """The JSON text of an event that nests too deep to be parsed."""

    text: str


RawEvent = dict[str, Any] | TooDeep


def raw_events(body: bytes, content_type: str, limit: int = MAXIMUM_EVENTS_PER_POST) -> list[RawEvent | None]:
    """The events of a decompressed body in order; None stands for a null in an array, which is not an event.

    Raises UnstorablePost if there are more than `limit`.
    """
    return parse_events(decode_text(body, content_type), limit)


def decode_text(body: bytes, content_type: str) -> str:
    """Decode with the content type's charset (UTF-8 by default) and drop a byte order mark.

    Undecodable bytes become U+FFFD, so that the text can always be stored.
    """
    return body.decode(_charset(content_type), "replace").removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}")


@lru_cache(maxsize=256)
def is_utf8(content_type: str) -> bool:
    """Whether the content type names UTF-8, or no charset."""
    return _charset(content_type) in _UTF8


def parse_events(text: str, limit: int = MAXIMUM_EVENTS_PER_POST) -> list[RawEvent | None]:
    """The raw events in a text; raises UnstorablePost for too many and never fails otherwise."""
    text = text.strip()
    found: list[RawEvent | None] | None = None
    # An object is one event, an array several; invalid JSON and JSON without an event are text.
    if text.startswith("["):
        found = _parse_array(text, limit)
    elif text.startswith("{"):
        if not is_too_deep(text):
            found = [parse_object(text)]
        elif split_array(f"[{text}]") is not None:  # its brackets match, so it is JSON and not text
            found = [TooDeep(text)]
    if found is not None and any(event is not None for event in found):
        return found
    lines = (line[0].strip() for line in _LINE.finditer(replace_nul(text)))
    # One more than allowed tells too many from just enough without building the rest.
    events: list[RawEvent | None] = [{"message": line} for line in islice(filter(None, lines), limit + 1)]
    if len(events) > limit:
        raise too_many(limit)
    return events


def _parse_array(text: str, limit: int) -> list[RawEvent | None] | None:
    if not is_too_deep(text, levels=MAXIMUM_ARRAY_DEPTH):
        # Count before parsing: the events of a small body can take gigabytes.
        if has_more_objects(repair_escapes(text), limit):
            raise too_many(limit)
        events = parse_objects(text)
        return None if events is None else list(events)
    # Set deep elements aside and parse the others as if the deep ones were null.
    elements = split_array(text)
    if elements is None:
        return None
    deep = {index for index, element in enumerate(elements) if is_too_deep(element)}
    shallow = ",".join("null" if index in deep else element for index, element in enumerate(elements))
    events = parse_objects(f"[{shallow}]")
    if events is None:
        return None
    if len(events) > limit:
        raise too_many(limit)
    return [TooDeep(elements[index]) if index in deep else event for index, event in enumerate(events)]


def too_many(limit: int) -> UnstorablePost:
    """The problem of a post with more than `limit` events."""
    return UnstorablePost(
        DeadLetterReason.TOO_MANY_EVENTS, f"More than {limit} events, the most for a post of this size."
    )


def _charset(content_type: str) -> str:
    match = _CHARSET.search(content_type)
    if match is None:
        return "utf-8"
    name = match[1].lower().replace("-", "_")
    charset = aliases.get(name, name)
    return charset if charset in _CHARSETS else "utf-8"

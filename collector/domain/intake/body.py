"""From a post's unpacked bytes to its raw events (contract 3.4): decoded, JSON or lines of text.

The first character decides, not the content type: `{` is one event, `[` an array of them. What is not JSON of
that shape, or holds no event, is text: one event per line. Events nested too deep are set aside one by one.
"""

import re
from dataclasses import dataclass
from encodings.aliases import aliases
from functools import lru_cache
from itertools import islice
from typing import Any, Final

from collector.domain.event.outcome import DeadLetterReason
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

MAXIMUM_EVENTS_PER_POST: Final = 100_000
"""An id has room for more; but a kilobyte can hold them, and all of them are stored together."""

_CHARSET: Final = re.compile(r"""charset\s*=\s*["']?([\w.:-]+)""", re.IGNORECASE)
_IS_CHARSET: Final = re.compile(
    r"utf_(8|16|32)|ascii|latin|iso8859|cp\d|koi8|mac|gb|big5|hz|shift_jis|euc_|iso2022|johab|tis_620"
)
_CHARSETS: Final = frozenset(filter(_IS_CHARSET.match, aliases.values()))
"""Python's other codecs (`unicode_escape`, `idna`, `utf_7`, `zlib`) are no charsets; some make surrogates."""
_UTF8: Final = ("utf-8", "utf_8")
MAXIMUM_ARRAY_DEPTH: Final = MAXIMUM_DEPTH + 1
"""The array around the events does not count."""
_LINE: Final = re.compile(r"[^\r\n]++")


@dataclass(frozen=True, slots=True)
class TooDeep:
    """An event that nests too deep, as JSON text."""

    text: str


RawEvent = dict[str, Any] | TooDeep


def raw_events(body: bytes, content_type: str) -> list[RawEvent | None]:
    """An unpacked body's events at their places; None is a null in an array, which is no event.

    Raises Unstorable for more than a post may hold.
    """
    return parse_events(decode_text(body, content_type))


def decode_text(body: bytes, content_type: str) -> str:
    """The text in the content type's charset (UTF-8 where there is none), without a byte order mark.

    What the charset cannot read becomes U+FFFD, so that the text can always be stored.
    """
    return body.decode(_charset(content_type), "replace").removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}")


@lru_cache(maxsize=256)
def is_utf8(content_type: str) -> bool:
    """Whether the text is in UTF-8."""
    return _charset(content_type) in _UTF8


def parse_events(text: str) -> list[RawEvent | None]:
    """The raw events in a text; raises Unstorable for too many, and fails on nothing else."""
    text = text.strip()
    found: list[RawEvent | None] | None = None
    if text.startswith("{"):
        found = _object(text)
    elif text.startswith("["):
        found = _array(text)
    has_event = found is not None and any(event is not None for event in found)
    return found if found is not None and has_event else _lines(text)


def _object(text: str) -> list[RawEvent | None] | None:
    if is_too_deep(text):
        is_whole = split_array(f"[{text}]") is not None
        return [TooDeep(text)] if is_whole else None
    event = parse_object(text)
    return None if event is None else [event]


def _array(text: str) -> list[RawEvent | None] | None:
    if is_too_deep(text, levels=MAXIMUM_ARRAY_DEPTH):
        return _array_with_deep_elements(text)
    if has_more_objects(repair_escapes(text), MAXIMUM_EVENTS_PER_POST):
        raise _too_many()
    events = parse_objects(text)
    return None if events is None else list(events)


def _array_with_deep_elements(text: str) -> list[RawEvent | None] | None:
    """The deep elements set aside, the others as if there were null in their place."""
    elements = split_array(text)
    if elements is None:
        return None
    deep = {place for place, element in enumerate(elements) if is_too_deep(element)}
    shallow = ",".join("null" if place in deep else element for place, element in enumerate(elements))
    events = parse_objects(f"[{shallow}]")
    if events is None:
        return None
    if len(events) > MAXIMUM_EVENTS_PER_POST:
        raise _too_many()
    return [TooDeep(elements[place]) if place in deep else event for place, event in enumerate(events)]


def _lines(text: str) -> list[RawEvent | None]:
    lines = (found[0].strip() for found in _LINE.finditer(replace_nul(text)))
    events: list[RawEvent | None] = [
        {"message": line} for line in islice(filter(None, lines), MAXIMUM_EVENTS_PER_POST + 1)
    ]
    if len(events) > MAXIMUM_EVENTS_PER_POST:
        raise _too_many()
    return events


def _too_many() -> UnstorablePost:
    return UnstorablePost(
        DeadLetterReason.TOO_MANY_EVENTS, f"More than {MAXIMUM_EVENTS_PER_POST} events in one post."
    )


def _charset(content_type: str) -> str:
    named = _CHARSET.search(content_type)
    if named is None:
        return "utf-8"
    name = named[1].lower().replace("-", "_")
    charset = aliases.get(name, name)
    return charset if charset in _CHARSETS else "utf-8"

"""Validates a post for senders that ask for strict handling (contract 10, row 13).

A fault is any value that the worker would cut, replace or move to `data`, and a date so old that the event
would be discarded. Unknown members are valid: they become `data`.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Final

import msgspec

from collector.domain.errors import BadRequest
from collector.domain.event.data import parse_object_text
from collector.domain.event.date import is_too_old, parse_date
from collector.domain.event.geo import is_address
from collector.domain.event.known_objects import KNOWN_OBJECTS
from collector.domain.event.members import (
    MAXIMUM_COUNT,
    MAXIMUM_TAG_LENGTH,
    MAXIMUM_TAGS,
    MAXIMUM_TEXT_LENGTH,
    MAXIMUM_TYPE_LENGTH,
    Members,
    as_count,
    as_geo,
    as_number,
    as_object,
)
from collector.domain.ids import accepted_at, is_reference_id
from collector.domain.intake.body import MAXIMUM_ARRAY_DEPTH, decode_text, is_utf8
from collector.domain.intake.cost import most_events
from collector.domain.intake.decompress import UnstorablePost, decompress
from collector.domain.jsonb.text import (
    MAXIMUM_DEPTH,
    is_too_deep,
    parse_object,
    parse_objects,
    repair_escapes,
    split_array,
)
from collector.domain.post import LEGACY_API, Post

Faults = dict[str, list[str]]
"""Messages by field: `[2].reference_id` belongs to the third event of an array, `body` to the whole post."""

MAXIMUM_FAULTS: Final = 100
_WHOLE: Final = "body"
_LINE: Final = re.compile(r"[^\r\n]++")
_END_OF_TIME: Final = datetime.max.replace(tzinfo=UTC)
_STRICT: Final = re.compile(r"(?:^|,)\s*handling\s*=\s*\"?(?P<value>[a-z]*)", re.IGNORECASE)


def is_strict(preferences: Iterable[str]) -> bool:
    """Whether the `Prefer` headers ask for strict handling (RFC 7240); the first `handling` counts."""
    found = _STRICT.search(",".join(preferences))
    return found is not None and found["value"].lower() == "strict"


def find_faults(post: Post, limit_bytes: int, max_age: timedelta | None = None) -> Faults:
    """The faults in a post's events, at most `MAXIMUM_FAULTS`; empty if there are none.

    An event older than `max_age` at its acceptance is a fault.

    Raises BadRequest if the body cannot be decompressed, decoded or parsed.
    """
    try:
        body = decompress(post.body, post.content_encoding, limit_bytes)
        if is_utf8(post.content_type):
            body.decode()  # decode_text() would replace invalid bytes
    except UnstorablePost as problem:
        raise BadRequest(problem.detail) from None
    except UnicodeDecodeError as error:
        raise BadRequest(f"The body is not valid UTF-8 at byte {error.start}.") from None
    text = decode_text(body, post.content_type).strip()
    if not text:
        raise BadRequest("The body contains no event.")
    is_json = post.content_type.lower().startswith("application/json")
    limit = most_events(len(post.body))
    if not is_json and (text[0] not in "[{" or _syntax_fault(text)):
        # Lines of text, each a valid event.
        if sum(1 for line in _LINE.finditer(text) if not line[0].isspace()) > limit:
            raise _too_many(limit)
        return {}
    faults: Faults = {}
    found = _faults(text, accepted_at(post.id), max_age, limit, is_legacy=post.api_version == LEGACY_API)
    for field, rule in islice(found, MAXIMUM_FAULTS):
        faults.setdefault(field, []).append(rule)
    return faults


def _faults(
    text: str, now: datetime, max_age: timedelta | None, limit: int, *, is_legacy: bool
) -> Iterator[tuple[str, str]]:
    """Lazy, so that the caller can stop at its limit."""
    if repair_escapes(text) != text:
        yield _WHOLE, "U+0000 and halves of surrogate pairs cannot be stored."
    has_event = False
    for position, event in _events(text, limit):
        # A message stands for an element that is no event at all.
        if isinstance(event, str):
            yield position or _WHOLE, event
            continue
        has_event = True
        # The rules are about members of version 2.
        if not is_legacy:
            for field, rule in _event_faults(event, now, max_age):
                yield f"{position}.{field}" if position else field, rule
    if not has_event:
        yield _WHOLE, "The body contains no event."


def _events(text: str, limit: int) -> Iterator[tuple[str, dict[str, Any] | str]]:
    """Each event, or the message why it is invalid, with its position in an array. Raises BadRequest."""
    if fault := _syntax_fault(text):
        raise BadRequest(f"The body is not valid JSON: {fault}.")
    # One event, without a position.
    if not text.startswith("["):
        yield "", _event(text)
        return
    # An array is parsed as a whole; if it is too deep, element by element: only the deep ones are at fault.
    events = None if is_too_deep(text, levels=MAXIMUM_ARRAY_DEPTH) else parse_objects(text)
    elements = split_array(text) if events is None else events
    if elements is None:
        raise BadRequest("The body is not valid JSON: its brackets do not match.")
    if len(elements) > limit:
        raise _too_many(limit)
    for index, element in enumerate(elements):
        event = _event(element) if isinstance(element, str) else element
        yield f"[{index}]", _NO_OBJECT if event is None else event


def _too_many(limit: int) -> BadRequest:
    return BadRequest(f"A post of this size holds at most {limit} events.")


def _event(text: str) -> dict[str, Any] | str:
    if is_too_deep(text):
        return f"An event must not nest deeper than {MAXIMUM_DEPTH} levels."
    event = parse_object(text)
    return _NO_OBJECT if event is None else event


def _syntax_fault(text: str) -> str | None:
    try:
        msgspec.json.decode(repair_escapes(text))
    except msgspec.ValidationError:
        return None
    except msgspec.DecodeError as error:
        return str(error)
    except RecursionError:
        return None  # well-formed so far; the depth is checked later
    return None


def _event_faults(
    event: Mapping[str, Any], now: datetime, max_age: timedelta | None
) -> Iterator[tuple[str, str]]:
    members = Members(event)
    taken = {name: members.take(name, lambda value: value) for name in _RULES}
    for name, (is_right, rule) in _RULES.items():
        if taken[name] is not None and not is_right(taken[name]):
            yield name, f"The {name} field must be {rule}."
    # Known objects may stand in the root or in `data`, as objects or as their JSON.
    for prefix, container in (("", event), ("data.", as_object(taken["data"]) or {})):
        for name in KNOWN_OBJECTS:
            value = container.get(name)
            is_object = isinstance(value, dict) or (
                isinstance(value, str) and parse_object_text(value) is not None
            )
            if value is not None and not is_object:
                yield prefix + name, f"The {name} member must be an object."
    # A valid date can still be too old.
    date = parse_date(taken["date"], now) if isinstance(taken["date"], str) else None
    if date is not None and is_too_old(date.utc, now, max_age):
        days = (max_age or timedelta()).days
        yield "date", f"The date must not lie more than {days} days back: older events are discarded."


def _is_text(longest: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and len(value) <= longest


def _are_tags(value: Any) -> bool:
    is_tag = _is_text(MAXIMUM_TAG_LENGTH)
    return isinstance(value, list) and len(value) <= MAXIMUM_TAGS and all(map(is_tag, value)) and all(value)


_NO_OBJECT: Final = "An event must be a JSON object."
_RULES: Final[Mapping[str, tuple[Callable[[Any], bool], str]]] = {
    "type": (_is_text(MAXIMUM_TYPE_LENGTH), f"a text of at most {MAXIMUM_TYPE_LENGTH} characters"),
    "source": (_is_text(MAXIMUM_TEXT_LENGTH), f"a text of at most {MAXIMUM_TEXT_LENGTH} characters"),
    "message": (_is_text(MAXIMUM_TEXT_LENGTH), f"a text of at most {MAXIMUM_TEXT_LENGTH} characters"),
    "date": (
        lambda value: isinstance(value, str) and parse_date(value, _END_OF_TIME) is not None,
        "a date and time in ISO 8601",
    ),
    "tags": (_are_tags, f"at most {MAXIMUM_TAGS} texts of 1 to {MAXIMUM_TAG_LENGTH} characters"),
    "value": (lambda value: as_number(value) is not None, "a number within the supported range"),
    "count": (lambda value: as_count(value) is not None, f"a whole number from 0 to {MAXIMUM_COUNT}"),
    "geo": (
        lambda value: as_geo(value) is not None or is_address(value),
        "`latitude,longitude` in degrees, or an address",
    ),
    "data": (lambda value: as_object(value) is not None, "an object"),
    "reference_id": (
        lambda value: isinstance(value, str) and is_reference_id(value),
        "8 to 100 letters, digits or `-`",
    ),
}

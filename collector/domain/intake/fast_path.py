"""The fast path for ordinary events: `data` stays the bytes that came, only the columns are decoded.

It takes only what needs no decision: UTF-8 JSON that `jsonb` takes as it is, no members but the known ones,
each of its usual type. Where something in `data` must be looked at, as in errors and requests, it is
decoded for the rules. Everything else goes the slow path (`collector.domain.intake.body`,
`collector.domain.event.build`), where each rule is written; both give the same rows.
"""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from functools import lru_cache
from operator import attrgetter
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from msgspec import Meta, Raw, field

from collector.domain.event.build import Columns, Sender, build_event, effective_type, finish_event
from collector.domain.event.data import assemble_data
from collector.domain.event.date import EventDate, is_too_old, parse_date
from collector.domain.event.enrich import HEARTBEAT, NOT_FOUND, Draft
from collector.domain.event.known_objects import KNOWN_OBJECTS
from collector.domain.event.members import (
    MAXIMUM_TEXT_LENGTH,
    MAXIMUM_TYPE_LENGTH,
    as_count,
    as_geo,
    as_number,
    as_tags,
)
from collector.domain.event.outcome import DiscardReason, Event
from collector.domain.event.session_key import SESSION_REFERENCE, SESSION_START, session_key
from collector.domain.event.stack import Stack, plain_stack
from collector.domain.ids import event_id, is_reference_id
from collector.domain.intake.body import MAXIMUM_EVENTS_PER_POST, is_utf8
from collector.domain.jsonb.check import is_storable
from collector.domain.jsonb.text import (
    MAXIMUM_DEPTH,
    has_more_objects,
    is_too_deep,
    parse_number,
)
from collector.domain.project.rules import DEFAULT_RULES, ProjectRules

_DEEP_BYTES: Final = 2 * MAXIMUM_DEPTH - 2
"""Brackets that nest too deep take at least as much."""
_NOT_OPENING: Final = bytes(set(range(256)) - set(b"[{"))

_TYPES_WITH_RULES: Final = (HEARTBEAT, NOT_FOUND)
_IDENTITY: Final = ("@user", "identity")
_LEAST_WITH_MEMBER: Final = len('{"":0}')
_SPACE: Final = ord(" ")
_KNOWN_TAGS: Final = 1024
_KNOWN_KINDS: Final = 1024
_CONTAINERS: Final = frozenset({list, dict})

_data: Final = attrgetter("data")
_value: Final = attrgetter("value")
_count: Final = attrgetter("count")


class PlainEvent(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """An event whose members are all known; those that are texts have their usual type."""

    type: Annotated[str, Meta(max_length=MAXIMUM_TYPE_LENGTH)] | None = None
    source: Annotated[str, Meta(max_length=MAXIMUM_TEXT_LENGTH)] | None = None
    date: str | None = None
    tags: tuple[str, ...] | None = None
    message: str | None = None
    geo: str | None = None
    value: Any = None
    count: Any = None
    data: Raw = Raw()
    reference_id: str | None = None


def _known(name: str) -> tuple[str, Any, Any]:
    """A member of `data` that is an object whose members all have their right names, whatever they hold.

    But a user's identity is a text.
    """
    members: list[tuple[str, Any, Any]] = [
        (member, str | None, None) if (name, member) == _IDENTITY else (member, Raw, Raw())
        for member in sorted(KNOWN_OBJECTS[name])
    ]
    return (
        name[1:],
        msgspec.defstruct(name[1:], members, forbid_unknown_fields=True, gc=False) | None,
        field(name=name, default=None),
    )


def _absent(name: str) -> tuple[str, Any, Any]:
    return name[1:], None, field(name=name, default=None)


_NAMED_SESSION: Final = ("session", str | None, field(name=SESSION_REFERENCE, default=None))
_OBJECTS: Final = ("@environment", "@location", "@user", "@user_description")
_UNREMARKABLE: Final = msgspec.json.Decoder(
    msgspec.defstruct(
        "Unremarkable",
        [*map(_known, _OBJECTS), *map(_absent, KNOWN_OBJECTS.keys() - set(_OBJECTS)), _NAMED_SESSION],
        gc=False,
    )
    | None
)
"""`data` of which only its session and user must be known: no error, no request, no stack."""
_EMPTY: Final = _UNREMARKABLE.decode(b"{}")
_EVENT: Final = msgspec.json.Decoder(PlainEvent, float_hook=parse_number)
_EVENTS: Final = msgspec.json.Decoder(list[PlainEvent | None], float_hook=parse_number)
_ANYTHING: Final = msgspec.json.Decoder(float_hook=parse_number)


def decode_plain_events(body: bytes, content_type: str) -> list[PlainEvent | None] | None:
    """The events of an unpacked body at their places, or None where it must go the slow path."""
    first = body[:1]
    if not (first == b"{" or first == b"[") or not is_utf8(content_type) or not is_storable(body):  # noqa: PLR1714
        return None
    if len(body) > MAXIMUM_EVENTS_PER_POST and has_more_objects(body, MAXIMUM_EVENTS_PER_POST):
        return None
    try:
        events: list[PlainEvent | None] = _EVENTS.decode(body) if first == b"[" else [_EVENT.decode(body)]
    except (msgspec.DecodeError, RecursionError):
        return None
    present = list(filter(None, events))
    if not present or (len(body) >= _DEEP_BYTES and _may_be_too_deep(present)):
        return None
    return events


def build_plain_event(
    plain: PlainEvent,
    place: int,
    sender: Sender,
    max_age: timedelta | None,
    project: ProjectRules = DEFAULT_RULES,
) -> Event | DiscardReason:
    """The row for the event at `place` of its post, or why it is discarded: what `event_of` gives for it."""
    now = sender.accepted_utc
    date = parse_date(plain.date, now) if plain.date else EventDate(now)
    data = bytes(plain.data)
    reference_id = plain.reference_id or None
    value, count = plain.value, plain.count
    geo = as_geo(plain.geo) if plain.geo else None
    if (
        date is None
        or (reference_id is not None and not is_reference_id(reference_id))
        or (value is not None and type(value) is not Decimal and (value := as_number(value)) is None)
        or (count is not None and (count := as_count(count)) is None)
        or (geo is None and plain.geo)
    ):
        return build_event(_raw(plain), place, sender, max_age, project)
    if is_too_old(date.utc, now, max_age):
        return DiscardReason.TOO_OLD
    kind = _kind(sender.project_id, plain.type, plain.source)
    if kind is None or (unremarkable := _unremarkable(data)) is None:
        draft = _draft(plain, geo, sender)
        if draft is None:
            return build_event(_raw(plain), place, sender, max_age, project)
        tags = _TAGS[plain.tags] if plain.tags else ()
        columns = Columns(event_id(sender.post_id, place), date, reference_id, tags, value, count)
        return finish_event(draft, columns, sender, project)
    user, named = unremarkable.user, unremarkable.session
    key = None
    if user is not None or named is not None or kind.type == SESSION_START:
        key = session_key(sender.project_id, kind.type, reference_id, named, user and user.identity)
    return Event(  # by position: by name it takes twice as long
        event_id(sender.post_id, place),
        sender.project_id,
        sender.organization_id,
        kind.type,
        date.utc,
        date.offset_minutes,
        now,
        kind.stack,
        reference_id,
        plain.message[:MAXIMUM_TEXT_LENGTH] if plain.message else None,
        kind.source,
        _TAGS[plain.tags] if plain.tags else (),
        value,
        count,
        geo,
        # As a rule a member at least is before the brace, with nothing in between.
        data[:-1] + sender.client_end
        if len(data) >= _LEAST_WITH_MEMBER and data[-2] > _SPACE
        else _with_client(data, sender.client_end),
        key,
    )


class _Kind(NamedTuple):
    """What an event's type and source say, which most events share."""

    type: str
    source: str | None
    stack: Stack


@lru_cache(maxsize=_KNOWN_KINDS)
def _kind(project_id: bytes, type_: str | None, source: str | None) -> _Kind | None:
    """None for a type that has rules."""
    if type_ in _TYPES_WITH_RULES:
        return None
    type_ = type_ if type_ and not type_.isspace() else "log"
    source = source or None
    return _Kind(type_, source, plain_stack(project_id, type_, source))


class _KnownTags(dict[tuple[str, ...], tuple[str, ...]]):
    """Tags as they are stored, by how they were sent. Only such as stay the same, hence short, are kept."""

    def __missing__(self, sent: tuple[str, ...]) -> tuple[str, ...]:
        tags = as_tags(list(sent)) or ()
        if tags == sent:
            if len(self) >= _KNOWN_TAGS:
                self.clear()
            self[sent] = tags
        return tags


_TAGS: Final = _KnownTags()


def _draft(plain: PlainEvent, geo: str | None, sender: Sender) -> Draft | None:
    """The event for the rules, its data decoded; None where that is no object."""
    sent = _ANYTHING.decode(plain.data) if plain.data else None
    if sent is not None and not isinstance(sent, dict):
        return None
    data = assemble_data(sent, (), sender.client)
    message = plain.message[:MAXIMUM_TEXT_LENGTH] if plain.message else None
    return Draft(effective_type(plain.type or "", data), message, plain.source or None, geo, data)


def _may_be_too_deep(events: Sequence[PlainEvent]) -> bool:
    if not _CONTAINERS.isdisjoint(map(type, map(_value, events))):
        return True
    if not _CONTAINERS.isdisjoint(map(type, map(_count, events))):
        return True
    large = (bytes(data) for data in map(_data, events) if len(data) >= _DEEP_BYTES)
    doubtful = (data for data in large if len(data.translate(None, _NOT_OPENING)) >= MAXIMUM_DEPTH)
    return any(is_too_deep(data.decode(), levels=MAXIMUM_DEPTH - 1) for data in doubtful)


def _unremarkable(data: bytes) -> Any:
    """What must be known of an object, null or nothing; None where more in it must be looked at."""
    try:
        return _UNREMARKABLE.decode(data) or _EMPTY if data else _EMPTY
    except msgspec.ValidationError:
        return None


def _with_client(data: bytes, client_end: bytes) -> bytes:
    """The data with the server's member last: of two equal names `jsonb` keeps the last."""
    opened = b"{" if not data or data == b"null" else data[:-1].rstrip()
    return opened + (client_end if len(opened) > 1 else client_end[1:])


def _raw(plain: PlainEvent) -> dict[str, Any]:
    """The event as the slow path has it."""
    members = msgspec.structs.asdict(plain)
    data = bytes(members.pop("data"))
    return members | {
        "tags": None if plain.tags is None else list(plain.tags),
        "data": _ANYTHING.decode(data) if data else None,
    }

"""The fast path for ordinary events: decodes the columns and keeps `data` as the bytes received.

It accepts only UTF-8 JSON that `jsonb` stores unchanged, with known members of their usual types. `data` is
decoded only when a rule has to look into it, as for errors and requests. Everything else takes the slow path
(`collector.domain.intake.body`, `collector.domain.event.build`), which implements every rule. Both paths
produce the same rows.
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
from collector.domain.intake.body import is_utf8
from collector.domain.intake.cost import MAXIMUM_EVENTS_PER_POST
from collector.domain.jsonb.check import is_storable_json
from collector.domain.jsonb.text import (
    MAXIMUM_DEPTH,
    decode_number,
    has_more_objects,
    is_too_deep,
)
from collector.domain.project.rules import DEFAULT_RULES, ProjectRules

_DEEP_BYTES: Final = 2 * MAXIMUM_DEPTH - 2
"""JSON shorter than this cannot exceed the depth limit: each level takes two brackets."""
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
    """An event with known members only.

    One that violates a type or length here sends its whole post the slow path. So the members that clients do
    get wrong are checked for each event instead.
    """

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
    """A field for an object in `data` whose members all have canonical names, whatever their values.

    Only the user's identity must be a string, because the session key is derived from it.
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


_NAMED_SESSION: Final = ("session", str | None, field(name=SESSION_REFERENCE, default=None))
_OBJECTS: Final = ("@environment", "@location", "@user", "@user_description")
_ABSENT: Final = [
    (name[1:], None, field(name=name, default=None)) for name in KNOWN_OBJECTS.keys() - set(_OBJECTS)
]
_UNREMARKABLE: Final = msgspec.json.Decoder(
    msgspec.defstruct(
        "Unremarkable",
        [*map(_known, _OBJECTS), *_ABSENT, _NAMED_SESSION],
        gc=False,
    )
    | None
)
"""`data` that no rule changes: it has no error, request or stack. Only its session and user are decoded."""
_EMPTY: Final = _UNREMARKABLE.decode(b"{}")
_EVENT: Final = msgspec.json.Decoder(PlainEvent, float_hook=decode_number)
_EVENTS: Final = msgspec.json.Decoder(list[PlainEvent | None], float_hook=decode_number)
_ANYTHING: Final = msgspec.json.Decoder(float_hook=decode_number)


def decode_plain_events(body: bytes, content_type: str) -> list[PlainEvent | None] | None:
    """The events of a decompressed body in order, null elements as None; None if it needs the slow path."""
    first = body[:1]
    if not (first == b"{" or first == b"[") or not is_utf8(content_type) or not is_storable_json(body):  # noqa: PLR1714
        return None
    # Perhaps too many events: the slow path counts them.
    if len(body) > MAXIMUM_EVENTS_PER_POST and has_more_objects(body, MAXIMUM_EVENTS_PER_POST):
        return None
    try:
        events: list[PlainEvent | None] = _EVENTS.decode(body) if first == b"[" else [_EVENT.decode(body)]
    except (msgspec.DecodeError, RecursionError):
        return None
    # A body without an event becomes text there, and one that is too deep loses only the deep events.
    present = list(filter(None, events))
    if not present or (len(body) >= _DEEP_BYTES and _may_be_too_deep(present)):
        return None
    return events


def build_plain_event(
    plain: PlainEvent,
    index: int,
    sender: Sender,
    max_age: timedelta | None,
    project: ProjectRules = DEFAULT_RULES,
) -> Event | DiscardReason:
    """The row for the event at `index` in its post, or why it is discarded: what `build_event` returns."""
    now = sender.accepted_utc
    date = parse_date(plain.date, now) if plain.date else EventDate(now)
    data = bytes(plain.data)
    reference_id = plain.reference_id or None
    value, count = plain.value, plain.count
    geo = as_geo(plain.geo) if plain.geo else None
    if (
        date is not None
        and (reference_id is None or is_reference_id(reference_id))
        and (value is None or type(value) is Decimal or (value := as_number(value)) is not None)
        and (count is None or (count := as_count(count)) is not None)
        and (geo is not None or not plain.geo)
    ):
        if is_too_old(date.utc, now, max_age):
            return DiscardReason.TOO_OLD
        kind = _kind(sender.project_id, plain.type, plain.source)
        # No rule looks at this event: copy `data` and append the sender.
        if kind is not None and (unremarkable := _unremarkable(data)) is not None:
            user, named = unremarkable.user, unremarkable.session
            key = None
            if user is not None or named is not None or kind.type == SESSION_START:
                key = session_key(sender.project_id, kind.type, reference_id, named, user and user.identity)
            return Event(  # positional: keyword arguments take twice as long
                event_id(sender.post_id, index),
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
                # Usually the object has a member and no space before its closing brace.
                data[:-1] + sender.client_end
                if len(data) >= _LEAST_WITH_MEMBER and data[-2] > _SPACE
                else _with_client(data, sender.client_end),
                key,
            )
        # The rules may change `data`: decode it and apply them.
        sent = _ANYTHING.decode(data) if data else None
        if sent is None or isinstance(sent, dict):
            assembled = assemble_data(sent, (), sender.client)
            draft = Draft(
                effective_type(plain.type or "", assembled),
                plain.message[:MAXIMUM_TEXT_LENGTH] if plain.message else None,
                plain.source or None,
                geo,
                assembled,
            )
            tags = _TAGS[plain.tags] if plain.tags else ()
            columns = Columns(event_id(sender.post_id, index), date, reference_id, tags, value, count)
            return finish_event(draft, columns, sender, project)
    # The slow path moves members with an unusable value to `data`.
    members = msgspec.structs.asdict(plain)
    members["tags"] = None if plain.tags is None else list(plain.tags)
    members["data"] = _ANYTHING.decode(data) if data else None
    return build_event(members, index, sender, max_age, project)


class _Kind(NamedTuple):
    """The effective type, source and stack of an event; a few combinations cover most events."""

    type: str
    source: str | None
    stack: Stack


@lru_cache(maxsize=_KNOWN_KINDS)
def _kind(project_id: bytes, type_: str | None, source: str | None) -> _Kind | None:
    """None for a type that has rules of its own."""
    if type_ in _TYPES_WITH_RULES:
        return None
    type_ = type_ if type_ and not type_.isspace() else "log"
    source = source or None
    return _Kind(type_, source, plain_stack(project_id, type_, source))


class _KnownTags(dict[tuple[str, ...], tuple[str, ...]]):
    """Stored tags by the tags sent; bounded by `_KNOWN_TAGS`.

    Keeps only tags that are stored unchanged: those are within the length limits.
    """

    def __missing__(self, sent: tuple[str, ...]) -> tuple[str, ...]:
        tags = as_tags(list(sent)) or ()
        if tags == sent:
            if len(self) >= _KNOWN_TAGS:
                self.clear()
            self[sent] = tags
        return tags


_TAGS: Final = _KnownTags()


def _may_be_too_deep(events: Sequence[PlainEvent]) -> bool:
    """Whether an event may nest too deep; a `value` or `count` that is a container counts as too deep."""
    if not _CONTAINERS.isdisjoint(map(type, map(_value, events))):
        return True
    if not _CONTAINERS.isdisjoint(map(type, map(_count, events))):
        return True
    large = (bytes(data) for data in map(_data, events) if len(data) >= _DEEP_BYTES)
    doubtful = (data for data in large if len(data.translate(None, _NOT_OPENING)) >= MAXIMUM_DEPTH)
    return any(is_too_deep(data.decode(), levels=MAXIMUM_DEPTH - 1) for data in doubtful)


def _unremarkable(data: bytes) -> Any:
    """The session and user in `data`, which may be null or empty; None if a rule has to look into it."""
    try:
        return _UNREMARKABLE.decode(data) or _EMPTY if data else _EMPTY
    except msgspec.ValidationError:
        return None


def _with_client(data: bytes, client_end: bytes) -> bytes:
    """The data with the server's member last: `jsonb` keeps the last of two equal names."""
    opened = b"{" if not data or data == b"null" else data[:-1].rstrip()
    return opened + (client_end if len(opened) > 1 else client_end[1:])

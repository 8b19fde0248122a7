"""From events to sessions: each event that has a key gets its session, a known one or a new one.

Where the client sent no start, one is derived from the session's first event. Pure: a replay gives the same
sessions and the same ids, whatever the order of arrival.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

import msgspec
from msgspec import Raw

from collector.domain.event.members import as_text
from collector.domain.event.outcome import DiscardReason, Event
from collector.domain.event.session_key import (
    SESSION_END,
    SESSION_REFERENCE,
    SESSION_START,
    SessionKey,
    is_session_id,
)
from collector.domain.event.stack import plain_stack
from collector.domain.ids import derived_event_id, is_reference_id, original_event_id
from collector.domain.jsonb.text import encode_object, parse_number
from collector.domain.session.session import Session

ERROR: Final = "error"
_COPIED: Final = ("@user", "@environment", "@request", "@location", "@version", "@submission_client")

_members_of = msgspec.json.Decoder(dict[str, Raw]).decode
_value_of = msgspec.json.Decoder(float_hook=parse_number).decode
_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Assignment:
    """What sessions make of a transaction's events: those to be stored, derived or discarded.

    `new`, `touched` and all `by_key` are sessions as they are afterwards.
    """

    events: list[Event] = field(default_factory=list)
    derived: list[Event] = field(default_factory=list)
    discarded: list[tuple[Event, DiscardReason]] = field(default_factory=list)
    new: list[Session] = field(default_factory=list)
    touched: list[Session] = field(default_factory=list)
    by_key: dict[SessionKey, list[Session]] = field(default_factory=dict)


def dates_by_key(events: Sequence[Event]) -> dict[SessionKey, tuple[datetime, datetime]]:
    """The first and the last date of each session key in hand."""
    dates: dict[SessionKey, tuple[datetime, datetime]] = {}
    for event in events:
        if event.session_key is not None:
            first, last = dates.get(event.session_key, (event.date, event.date))
            dates[event.session_key] = min(first, event.date), max(last, event.date)
    return dates


def assign(events: Sequence[Event], known: Mapping[SessionKey, Sequence[Session]]) -> Assignment:
    """Give each event that has a key its session, a known or a new one; the others stay as they are.

    A session may be known while the event that began it is still to be stored: its start is stored with that.
    """
    result = Assignment()
    members: dict[bytes, Event] = {}
    groups: defaultdict[SessionKey, list[Event]] = defaultdict(list)
    for event in events:
        if event.session_key is not None:
            groups[event.session_key].append(event)
    for key, of_key in groups.items():
        sessions = _in_hand(known[key], of_key) if key in known else []
        members.update(_assigned(key, _in_order(of_key), sessions, result))
    # In the order of arrival, as they lie in memory.
    result.events = [
        members.get(event.id, event) for event in events if event.session_key is None or event.id in members
    ]
    return result


def _in_hand(known: Sequence[Session], events: Sequence[Event]) -> list[Session]:
    """Known sessions by their starts, with the events that began them where those are in hand."""
    by_id = {event.id: event for event in events}
    return [
        replace(session, begun_by=by_id.get(original_event_id(session.start_event_id)))
        for session in sorted(known, key=_start)
    ]


def _start(session: Session) -> tuple[datetime, bytes]:
    return session.start_utc, session.start_event_id


def with_session(event: Event, member: bytes) -> Event:
    """The event with its session named last in its data: of two equal names `jsonb` keeps the last."""
    data = event.data
    spliced = b"{" + member[1:] if data is None or data == b"{}" else data[:-1] + member
    return msgspec.structs.replace(event, data=spliced)


@lru_cache(maxsize=1024)
def session_member(session_id: str) -> bytes:
    """The end of the data of a session's events. Most events in hand share it with the one before."""
    return b"," + encode_object({SESSION_REFERENCE: session_id})[1:]


def _in_order(events: list[Event]) -> list[Event]:
    return events if len(events) == 1 else sorted(events, key=_order)


def _order(event: Event) -> tuple[datetime, int, bytes]:
    """By date; of equals a start first and an end last."""
    return event.date, (event.type != SESSION_START) + (event.type == SESSION_END), event.id


def _assigned(
    key: SessionKey, events: Sequence[Event], sessions: list[Session], result: Assignment
) -> dict[bytes, Event]:
    """The events of one key as they are stored, by their ids; all else goes into the result."""
    members: list[tuple[Event, Session]] = []
    near, coming = (sessions[:], []) if key.is_manual else ([], sessions[::-1])
    for event in events:
        session = _fitting(near, coming, event.date)
        if event.type == SESSION_END:
            result.discarded.append((event, DiscardReason.SESSION_END))
            if session is not None:
                session.close(event.date)
            continue
        if session is None:
            session = Session(key, b"", "", event.date, event.date, begun_by=event)
            sessions.append(session)
            near.append(session)
        elif event.type == SESSION_START and not session.begin_with(event):
            result.discarded.append((event, DiscardReason.REPEATED_SESSION_START))
            session.touch(event.date)
            continue
        session.touch(event.date, has_error=event.type == ERROR)
        members.append((event, session))
    for session in sessions:
        _conclude(session, result)
    if sessions:
        result.by_key[key] = sessions
    return {event.id: _in_session(event, session) for event, session in members}


def _fitting(near: list[Session], coming: list[Session], date: datetime) -> Session | None:
    """The nearest of those that take it; as a rule a user has one.

    Dates only grow: so those that are over are forgotten, and of those `coming`, which begin later (the last
    one first), it can only be the next. However many sessions a key has, few are looked at.
    """
    while coming and coming[-1].start_utc <= date:
        near.append(coming.pop())
    if len(near) == 1 and not coming:
        return near[0] if near[0].takes(date) else None
    near[:] = [session for session in near if not session.is_over(date)]
    return min(
        (session for session in (*near, *coming[-1:]) if session.takes(date)),
        key=lambda session: max(session.start_utc - date, date - session.last_utc, timedelta()),
        default=None,
    )


def _conclude(session: Session, result: Assignment) -> None:
    """A new session gets its ids; one that an event in hand began, its start where its client sent none."""
    first = session.begun_by
    if first is not None and not session.start_event_id:
        _name(session, first)
        result.new.append(session)
    elif session.is_touched:
        result.touched.append(session)
    if first is not None and first.id != session.start_event_id:
        result.derived.append(_start_of(session, first))


def _name(session: Session, first: Event) -> None:
    session.start_event_id = first.id if first.type == SESSION_START else derived_event_id(first.id)
    session.session_id = _name_in(first) if session.key.is_manual else session.start_event_id.hex()


def _in_session(event: Event, session: Session) -> Event:
    """The event as it is stored: it names its session; a start does so by its reference id."""
    is_start = event.type == SESSION_START
    reference_id = event.reference_id
    if is_start:
        reference_id = reference_id or _as_reference(session.session_id)
        event = msgspec.structs.replace(event, reference_id=reference_id, value=event.value or Decimal(0))
    if session.key.is_manual or (is_start and reference_id == session.session_id):
        return event
    return with_session(event, session_member(session.session_id))


def _start_of(session: Session, first: Event) -> Event:
    """The start that the client did not send, with what the session's first event tells of its origin."""
    members = _members_of(first.data or b"{}")
    data: dict[str, Any] = {name: members[name] for name in _COPIED if name in members}
    return Event(
        id=session.start_event_id,
        project_id=first.project_id,
        organization_id=first.organization_id,
        type=SESSION_START,
        date=first.date,
        date_offset_minutes=first.date_offset_minutes,
        created_utc=first.created_utc,
        stack=plain_stack(first.project_id, SESSION_START, None),
        reference_id=_as_reference(session.session_id),
        value=Decimal(0),
        geo=first.geo,
        data=_encode({**data, SESSION_REFERENCE: session.session_id}),
        session_key=session.key,
    )


def _name_in(event: Event) -> str:
    """The id of the manual session that an event names."""
    if event.type == SESSION_START and event.reference_id and is_session_id(event.reference_id):
        return event.reference_id
    return as_text(_value_of(_members_of(event.data or b"{}")[SESSION_REFERENCE])) or ""


def _as_reference(session_id: str) -> str | None:
    return session_id if is_reference_id(session_id) else None

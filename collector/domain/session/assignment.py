"""Assigns events with a session key to known or new sessions.

If the client sent no session start, one is derived from the session's first event. Pure: a replay gives the
same sessions and ids, in any order of arrival.
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
from collector.domain.jsonb.text import decode_number, encode_object
from collector.domain.session.session import Session

ERROR: Final = "error"
_COPIED: Final = ("@user", "@environment", "@request", "@location", "@version", "@submission_client")

_members_of = msgspec.json.Decoder(dict[str, Raw]).decode
_value_of = msgspec.json.Decoder(float_hook=decode_number).decode
_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Assignment:
    """The events of a transaction that are to be stored, were derived, or are discarded.

    `new`, `touched` and `by_key` hold the sessions in their state after the transaction.
    """

    events: list[Event] = field(default_factory=list)
    derived: list[Event] = field(default_factory=list)
    discarded: list[tuple[Event, DiscardReason]] = field(default_factory=list)
    new: list[Session] = field(default_factory=list)
    touched: list[Session] = field(default_factory=list)
    by_key: dict[SessionKey, list[Session]] = field(default_factory=dict)


def dates_by_key(events: Sequence[Event]) -> dict[SessionKey, tuple[datetime, datetime]]:
    """The first and last event date of each session key."""
    dates: dict[SessionKey, tuple[datetime, datetime]] = {}
    for event in events:
        if event.session_key is not None:
            first, last = dates.get(event.session_key, (event.date, event.date))
            dates[event.session_key] = min(first, event.date), max(last, event.date)
    return dates


def assign(events: Sequence[Event], known: Mapping[SessionKey, Sequence[Session]]) -> Assignment:
    """Assign each event with a key to a known or new session; events without a key stay unchanged.

    A session may be known before the event that began it is stored, if a transaction failed in between. Its
    start is then stored with that event.
    """
    result = Assignment()
    members: dict[bytes, Event] = {}
    groups: defaultdict[SessionKey, list[Event]] = defaultdict(list)
    for event in events:
        if event.session_key is not None:
            groups[event.session_key].append(event)
    for key, of_key in groups.items():
        ordered = of_key if len(of_key) == 1 else sorted(of_key, key=_by_date)
        by_id = {event.id: event for event in of_key} if key in known else {}
        # Copies, ordered by start, with the events that began them if those are among the events.
        sessions = [
            replace(session, begun_by=by_id.get(original_event_id(session.start_event_id)))
            for session in sorted(
                known.get(key, ()), key=lambda session: (session.start_utc, session.start_event_id)
            )
        ]
        members.update(_assign_key(key, ordered, sessions, result))
    # In the order of arrival.
    result.events = [
        members.get(event.id, event) for event in events if event.session_key is None or event.id in members
    ]
    return result


def with_session(event: Event, member: bytes) -> Event:
    """The event with `member` appended to its data: `jsonb` keeps the last of two equal names."""
    data = event.data
    spliced = b"{" + member[1:] if data is None or data == b"{}" else data[:-1] + member
    return msgspec.structs.replace(event, data=spliced)


@lru_cache(maxsize=1024)
def session_member(session_id: str) -> bytes:
    """The member that names the session, to be appended to `data`. Cached: consecutive events share it."""
    return b"," + encode_object({SESSION_REFERENCE: session_id})[1:]


def _by_date(event: Event) -> tuple[datetime, int, bytes]:
    """Sorts by date; at equal dates a start comes first and an end last."""
    return event.date, (event.type != SESSION_START) + (event.type == SESSION_END), event.id


def _assign_key(
    key: SessionKey, events: Sequence[Event], sessions: list[Session], result: Assignment
) -> dict[bytes, Event]:
    """The events of one key as they will be stored, by id; adds everything else to the result."""
    members: list[tuple[Event, Session]] = []
    near, coming = (sessions[:], []) if key.is_manual else ([], sessions[::-1])
    for event in events:
        session = _nearest_session(near, coming, event.date)
        # An end closes its session and is not stored. An event without a session begins one. A second start
        # is discarded, but counts as activity.
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


def _nearest_session(near: list[Session], coming: list[Session], date: datetime) -> Session | None:
    """The nearest session that accepts the date; usually a user has only one.

    Dates arrive in ascending order. So sessions that are over are dropped from `near`, and of the sessions
    `coming`, sorted by descending start, only the next one can accept the date. The cost stays linear for a
    key with many sessions.
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
    """Give a new session its ids, and derive the start of a session whose client sent none."""
    first = session.begun_by
    if first is not None and not session.start_event_id:
        session.start_event_id = first.id if first.type == SESSION_START else derived_event_id(first.id)
        # A manual session has the id that the event names: a start in its reference id, others in `data`.
        if not session.key.is_manual:
            session.session_id = session.start_event_id.hex()
        elif first.type == SESSION_START and first.reference_id and is_session_id(first.reference_id):
            session.session_id = first.reference_id
        else:
            named = _value_of(_members_of(first.data or b"{}")[SESSION_REFERENCE])
            session.session_id = as_text(named) or ""
        result.new.append(session)
    elif session.is_touched:
        result.touched.append(session)
    if first is not None and first.id != session.start_event_id:
        result.derived.append(_derive_start(session, first))


def _in_session(event: Event, session: Session) -> Event:
    """The event as it will be stored, with its session named in `data`, or by a start's reference id."""
    is_start = event.type == SESSION_START
    reference_id = event.reference_id
    if is_start:
        reference_id = reference_id or _as_reference(session.session_id)
        event = msgspec.structs.replace(event, reference_id=reference_id, value=event.value or Decimal(0))
    if session.key.is_manual or (is_start and reference_id == session.session_id):
        return event
    return with_session(event, session_member(session.session_id))


def _derive_start(session: Session, first: Event) -> Event:
    """The start that the client did not send, with the origin data of the session's first event."""
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


def _as_reference(session_id: str) -> str | None:
    return session_id if is_reference_id(session_id) else None

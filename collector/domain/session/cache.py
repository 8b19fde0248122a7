"""Caches active sessions in a worker, so that most events join their session without a query.

Only committed sessions are cached, and each for a limited time: then it is read again, because another worker
or a heartbeat may have ended it. Events that a cached session cannot decide on are looked up in Postgres.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from collector.domain.event.outcome import Event
from collector.domain.event.session_key import SESSION_END, SESSION_START, SessionKey
from collector.domain.ids import original_event_id
from collector.domain.session.assignment import ERROR, session_member, with_session
from collector.domain.session.session import IDLE, Session

FRESH_SECONDS: Final = 30.0
"""An end set by another worker or a heartbeat is noticed after this time at the latest."""
MAX_ROW_LAG: Final = timedelta(seconds=30)
"""How far a session's row may lag behind the stored events, in event time."""
CACHE_SIZE: Final = 50_000
"""The cache holds at least this many of the last used sessions and at most twice as many, some 70 MB."""

_BOUNDARIES: Final = frozenset({SESSION_START, SESSION_END})
_LAST: Final = datetime.max.replace(tzinfo=UTC)


@dataclass(slots=True, eq=False)
class ActiveSession:
    """A session that accepts dates up to `until_utc`; its row includes activity up to `flushed_utc`."""

    session: Session
    start_utc: datetime
    until_utc: datetime
    flushed_utc: datetime
    fresh_until: float
    origin: bytes
    member: bytes

    def reach(self, date: datetime) -> None:
        """Extend the session to the date of a stored event."""
        if date > self.session.last_utc:
            self.session.last_utc = date
            self.until_utc = _until(self.session)


@dataclass(slots=True)
class Joined:
    """Events in their order, those of cached sessions joined to them and those of `misses` unchanged.

    `latest` has the last date of each session that was joined.
    """

    events: list[Event] = field(default_factory=list)
    misses: set[SessionKey] = field(default_factory=set)
    latest: dict[ActiveSession, datetime] = field(default_factory=dict)


class ActiveSessions:
    """A cache of the last used sessions in two generations; a full young one replaces the old one.

    `_dirty` holds sessions whose activity is not in their rows yet. It is bounded too: once it is full,
    `overdue` returns every session.
    """

    def __init__(self, limit: int = CACHE_SIZE) -> None:
        self._limit = limit
        self._young: dict[SessionKey, ActiveSession] = {}
        self._old: dict[SessionKey, ActiveSession] = {}
        self._dirty: dict[bytes, ActiveSession] = {}

    def join(self, events: Iterable[Event], now: float) -> Joined:
        """Join events to cached sessions. Changes no session: `mark_stored` does that after the commit."""
        joined = Joined()
        stored, late, latest, young = joined.events, joined.misses, joined.latest, self._young
        for event in events:
            key = event.session_key
            if key is None:
                stored.append(event)
                continue
            active = young.get(key)
            if active is None and (active := self._old.get(key)) is not None:
                self._insert(key, active)
                young = self._young
            date = event.date
            if (
                active is None
                or not active.start_utc <= date <= active.until_utc
                or now > active.fresh_until
                or event.id == active.origin  # its transaction failed: the start is not stored yet
                or event.type in _BOUNDARIES
                or (event.type == ERROR and not active.session.has_error)
            ):
                late.add(key)
                stored.append(event)
                continue
            known = latest.get(active)
            if known is None or date > known:
                latest[active] = date
            stored.append(with_session(event, active.member) if active.member else event)
        if late:
            joined.latest = {each: date for each, date in latest.items() if each.session.key not in late}
        return joined

    def find(self, keys: Iterable[SessionKey]) -> dict[SessionKey, Session]:
        """The cached sessions of these keys, including those that are no longer fresh."""
        found = ((key, self._young.get(key) or self._old.get(key)) for key in keys)
        return {key: active.session for key, active in found if active is not None}

    def overdue(self, latest: Mapping[ActiveSession, datetime]) -> list[Session]:
        """Copies, updated to `latest`, of the sessions whose rows would lag too far behind."""
        is_full = len(self._dirty) >= self._limit
        return [
            replace(active.session, last_utc=date)
            for active, date in latest.items()
            if is_full or date - active.flushed_utc > MAX_ROW_LAG
        ]

    def mark_stored(self, latest: Mapping[ActiveSession, datetime], flushed: Collection[Session]) -> None:
        """Record that events up to these dates are committed, and that the rows of `flushed` include them."""
        flushed_ids = {session.start_event_id for session in flushed}
        for active, date in latest.items():
            active.reach(date)
            start_event_id = active.session.start_event_id
            # Its row includes this activity now, or is flushed later.
            if start_event_id in flushed_ids:
                active.flushed_utc = max(active.flushed_utc, date)
                self._dirty.pop(start_event_id, None)
            else:
                self._dirty[start_event_id] = active

    def put(self, by_key: Mapping[SessionKey, Sequence[Session]], read_at: float) -> None:
        """Cache the latest session of each key as its row has it; drop a closed automatic session."""
        for key, sessions in by_key.items():
            session = max(sessions, key=lambda session: session.start_utc)
            if session.closed_utc is not None and not key.is_manual:
                self._young.pop(key, None)
                self._old.pop(key, None)
                continue
            # Update a known session in place, so that activity that is not in its row is kept.
            active = self._young.get(key) or self._old.get(key) or self._dirty.get(session.start_event_id)
            if active is not None and active.session.start_event_id == session.start_event_id:
                session.last_utc = max(session.last_utc, active.session.last_utc)
                active.session, active.fresh_until = session, read_at + FRESH_SECONDS
                active.start_utc, active.until_utc = session.start_utc, _until(session)
            else:
                active = ActiveSession(
                    session=session,
                    start_utc=session.start_utc,
                    until_utc=_until(session),
                    flushed_utc=session.last_utc,
                    fresh_until=read_at + FRESH_SECONDS,
                    origin=original_event_id(session.start_event_id),
                    member=b"" if key.is_manual else session_member(session.session_id),
                )
            self._insert(key, active)

    def expire(self) -> None:
        """Read each session again before an event joins it: the database may have been restored."""
        for active in [*self._young.values(), *self._old.values()]:
            active.fresh_until = -math.inf

    def take_dirty(self) -> list[ActiveSession]:
        """Take the sessions whose activity is not in their rows; the caller flushes or requeues them."""
        taken, self._dirty = self._dirty, {}
        return list(taken.values())

    def requeue(self, actives: Iterable[ActiveSession]) -> None:
        """Return sessions that could not be flushed."""
        self._dirty = {active.session.start_event_id: active for active in actives} | self._dirty

    def _insert(self, key: SessionKey, active: ActiveSession) -> None:
        if len(self._young) >= self._limit:
            self._old, self._young = self._young, {}
        self._young[key] = active


def _until(session: Session) -> datetime:
    """The last date that the session certainly accepts."""
    return _LAST if session.key.is_manual or session.last_utc > _LAST - IDLE else session.last_utc + IDLE

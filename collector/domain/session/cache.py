"""The sessions that a worker remembers: most events are joined to one of them, and nobody is asked.

Only what Postgres has durably is remembered, and only for a while: then the session is read anew, because
others may have ended it. What a remembered session cannot answer at one glance goes the long way.
"""

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
"""An end that another worker or a heartbeat has set is noticed after so long at the latest."""
MAX_ROW_LAG: Final = timedelta(seconds=30)
"""By so much, in dates of events, a session's row may lag behind what is stored."""
CACHE_SIZE: Final = 50_000
"""So many at least, and twice as many at most: some 70 MB."""

_BOUNDARIES: Final = frozenset({SESSION_START, SESSION_END})
_LAST: Final = datetime.max.replace(tzinfo=UTC)


@dataclass(slots=True, eq=False)
class ActiveSession:
    """A session that takes dates from its start until `until_utc`; its row says those up to `told_utc`."""

    session: Session
    start_utc: datetime
    until_utc: datetime
    flushed_utc: datetime
    fresh_until: float
    origin: bytes
    member: bytes

    def reach(self, date: datetime) -> None:
        """An event of that date is stored."""
        if date > self.session.last_utc:
            self.session.last_utc = date
            self.until_utc = _until(self.session)


@dataclass(slots=True)
class Joined:
    """Events in their order: in the remembered sessions of `latest`, or as they were, as of `late` keys."""

    events: list[Event] = field(default_factory=list)
    misses: set[SessionKey] = field(default_factory=set)
    latest: dict[ActiveSession, datetime] = field(default_factory=dict)


class ActiveSessions:
    """Remembers the sessions used last. A bounded number of them: a user too many only takes longer."""

    def __init__(self, limit: int = CACHE_SIZE) -> None:
        self._limit = limit
        self._young: dict[SessionKey, ActiveSession] = {}
        self._old: dict[SessionKey, ActiveSession] = {}
        self._dirty: dict[bytes, ActiveSession] = {}

    def join(self, events: Iterable[Event], now: float) -> Joined:
        """Join events to their sessions as far as these are remembered. Nothing is remembered of it yet."""
        joined = Joined()
        stored, late, latest, young = joined.events, joined.misses, joined.latest, self._young
        for event in events:
            key = event.session_key
            if key is None:
                stored.append(event)
                continue
            active = young.get(key) or self._rejuvenated(key)
            date = event.date
            if (
                active is None
                or not active.start_utc <= date <= active.until_utc
                or now > active.fresh_until
                or event.id == active.origin  # of a transaction that failed: its start is still to be stored
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
        """The sessions of these keys that are remembered, also such as must be read anew."""
        found = ((key, self._young.get(key) or self._old.get(key)) for key in keys)
        return {key: active.session for key, active in found if active is not None}

    def overdue(self, latest: Mapping[ActiveSession, datetime]) -> list[Session]:
        """Those whose rows would lag too far behind, as they will be."""
        is_full = len(self._dirty) >= self._limit
        return [
            replace(active.session, last_utc=date)
            for active, date in latest.items()
            if is_full or date - active.flushed_utc > MAX_ROW_LAG
        ]

    def mark_stored(self, latest: Mapping[ActiveSession, datetime], told: Collection[Session]) -> None:
        """Events of these dates are stored, and these sessions' rows told of them."""
        flushed_ids = {session.start_event_id for session in told}
        for active, date in latest.items():
            active.reach(date)
            start_event_id = active.session.start_event_id
            if start_event_id in flushed_ids:
                active.flushed_utc = max(active.flushed_utc, date)
                self._dirty.pop(start_event_id, None)
            else:
                self._dirty[start_event_id] = active

    def put(self, by_key: Mapping[SessionKey, Sequence[Session]], read_at: float) -> None:
        """Remember the latest session of each key, as its row has it; an automatic one while it is open."""
        for key, sessions in by_key.items():
            latest = max(sessions, key=lambda session: session.start_utc)
            if latest.closed_utc is not None and not key.is_manual:
                self._forget(key)
            else:
                self._remember(latest, read_at + FRESH_SECONDS)

    def take_dirty(self) -> list[ActiveSession]:
        """Those whose activity their rows were not told of. Who takes them tells it, or puts them back."""
        taken, self._dirty = self._dirty, {}
        return list(taken.values())

    def requeue(self, actives: Iterable[ActiveSession]) -> None:
        """Their rows could not be told."""
        self._dirty = {active.session.start_event_id: active for active in actives} | self._dirty

    def _rejuvenated(self, key: SessionKey) -> ActiveSession | None:
        active = self._old.get(key)
        if active is not None:
            self._put(key, active)
        return active

    def _remember(self, session: Session, fresh_until: float) -> None:
        """In place where it is known: its activity that its row does not tell of is not forgotten."""
        key = session.key
        active = self._young.get(key) or self._old.get(key) or self._dirty.get(session.start_event_id)
        if active is not None and active.session.start_event_id == session.start_event_id:
            session.last_utc = max(session.last_utc, active.session.last_utc)
            active.session, active.fresh_until = session, fresh_until
            active.start_utc, active.until_utc = session.start_utc, _until(session)
        else:
            active = ActiveSession(
                session=session,
                start_utc=session.start_utc,
                until_utc=_until(session),
                flushed_utc=session.last_utc,
                fresh_until=fresh_until,
                origin=original_event_id(session.start_event_id),
                member=b"" if key.is_manual else session_member(session.session_id),
            )
        self._put(key, active)

    def _forget(self, key: SessionKey) -> None:
        self._young.pop(key, None)
        self._old.pop(key, None)

    def _put(self, key: SessionKey, active: ActiveSession) -> None:
        if len(self._young) >= self._limit:
            self._old, self._young = self._young, {}
        self._young[key] = active


def _until(session: Session) -> datetime:
    """The last date that it takes for certain."""
    return _LAST if session.key.is_manual or session.last_utc > _LAST - IDLE else session.last_utc + IDLE

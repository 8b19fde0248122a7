"""Sessions: which events and heartbeats they take, when they end, and what their start event says of them.

A manual session is the one that its events name: by `@ref:session`, its start by its reference id. Other
events with a user belong to an automatic session: the user's events, by their dates, with no pause of more
than `IDLE`. When a session has ended is told by its client, or else by the silence after it; only the
client's word keeps later events out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, NamedTuple

from collector.domain.event.outcome import Event
from collector.domain.event.session_key import SESSION_START, SessionKey

IDLE: Final = timedelta(minutes=15)
"""After such a pause a user's next event begins another session."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


@dataclass(slots=True)
class Session:
    """One session. `closed_utc` is when its client said that it ended.

    `begun_by` is the event in hand that began it: its start as the client sent it, or else its first event.
    While it is new its ids are empty, until all events in hand are looked at.
    """

    key: SessionKey
    start_event_id: bytes
    session_id: str
    start_utc: datetime
    last_utc: datetime
    closed_utc: datetime | None = None
    has_error: bool = False
    begun_by: Event | None = None
    is_touched: bool = False

    def takes(self, date: datetime) -> bool:
        """Whether an event of its key with this date belongs to it."""
        return self.key.is_manual or (self.start_utc - date <= IDLE and not self.is_over(date))

    def is_over(self, date: datetime) -> bool:
        """Whether it takes neither an event with this date nor one that is later still."""
        if self.key.is_manual:
            return False
        return (self.closed_utc is not None and date > self.closed_utc) or date - self.last_utc > IDLE

    def begin_with(self, start: Event) -> bool:
        """Take the start that the client sent in place of one derived; whether it is the session's start."""
        if self.start_event_id:
            return self.start_event_id == start.id
        if self.begun_by is None or self.begun_by.type == SESSION_START:
            return False
        self.begun_by = start
        return True

    def touch(self, date: datetime, *, has_error: bool = False) -> None:
        """It was alive then."""
        self.start_utc = min(self.start_utc, date)
        self.last_utc = max(self.last_utc, date)
        self.has_error |= has_error
        self.is_touched = True

    def close(self, date: datetime) -> None:
        """Its client said that it ended then; the first word counts."""
        self.touch(date)
        self.closed_utc = self.closed_utc or date


class Beat(NamedTuple):
    """What is known of one session key: when it last beat and when it was closed, in Unix ms; 0 is never."""

    project_id: bytes
    digest: bytes
    beaten_ms: int = 0
    closed_ms: int = 0


def apply_beat(beat: Beat, sessions: Sequence[tuple[Session, datetime]]) -> bool:
    """Tell a key's sessions of its heartbeat; whether the last word of it found one.

    Each comes with the time when it was last heard of: that counts beside its events' dates, because these
    may come from a clock that is slow.
    """
    session: Session | None = None
    for milliseconds, closes in sorted([(beat.beaten_ms, False), (beat.closed_ms, True)]):
        if milliseconds:
            moment = _EPOCH + milliseconds * _MILLISECOND
            session = _alive(sessions, moment)
            if session is not None and closes:
                session.close(moment)
            elif session is not None:
                session.touch(moment)
    return session is not None


def start_summary(session: Session, *, is_idle: bool) -> tuple[Decimal, dict[str, Any]]:
    """What the start event says: the seconds as its value, and members of its data."""
    end = session.closed_utc or (session.last_utc if is_idle else None)
    duration = max((end or session.last_utc) - session.start_utc, timedelta())
    members: dict[str, Any] = {}
    if end is not None:
        members["sessionend"] = end.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if session.has_error:
        members["haserror"] = True
    return Decimal(duration // _MILLISECOND) / 1000, members


def _alive(sessions: Sequence[tuple[Session, datetime]], moment: datetime) -> Session | None:
    """The latest session that goes on then: a manual one, or one that was heard of shortly before."""
    alive = [
        session
        for session, heard_utc in sessions
        if session.start_utc <= moment
        and (session.closed_utc is None or moment <= session.closed_utc)
        and (session.key.is_manual or moment - max(session.last_utc, heard_utc) <= IDLE)
    ]
    return max(alive, key=lambda session: (session.key.is_manual, session.last_utc), default=None)

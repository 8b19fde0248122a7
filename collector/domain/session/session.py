"""Sessions: which events and heartbeats belong to one, when it ends, and what its start event shows.

Events name a manual session by `@ref:session`, its start by its reference id. Other events with a user belong
to an automatic session: the user's events in order of date, without a pause longer than `IDLE`. A session
ends when its client closes it, or else by inactivity; only a close by the client keeps later events out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, NamedTuple

from collector.domain.event.outcome import Event
from collector.domain.event.session_key import SESSION_START, SessionKey

IDLE: Final = timedelta(minutes=15)
"""After a longer pause a user's next event begins another session."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


@dataclass(slots=True)
class Session:
    """One session. `closed_utc` is the end that its client sent.

    `begun_by` is the event that began it, if it is in this transaction: the start that the client sent, else
    the first event. The ids of a new session stay empty until all events have been assigned.
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
        """Whether an event with its key and this date belongs to the session."""
        return self.key.is_manual or (self.start_utc - date <= IDLE and not self.is_over(date))

    def is_over(self, date: datetime) -> bool:
        """Whether the session accepts no event of this or any later date."""
        if self.key.is_manual:
            return False
        return (self.closed_utc is not None and date > self.closed_utc) or date - self.last_utc > IDLE

    def begin_with(self, start: Event) -> bool:
        """Use the start that the client sent instead of a derived one; returns whether it is the start."""
        # A known session: the event is its start if it was so before (a replay).
        if self.start_event_id:
            return self.start_event_id == start.id
        if self.begun_by is None or self.begun_by.type == SESSION_START:
            return False
        self.begun_by = start
        return True

    def touch(self, date: datetime, *, has_error: bool = False) -> None:
        """Record activity at this date."""
        self.start_utc = min(self.start_utc, date)
        self.last_utc = max(self.last_utc, date)
        self.has_error |= has_error
        self.is_touched = True

    def close(self, date: datetime) -> None:
        """Record that the client ended the session at this date; only the first close counts."""
        self.touch(date)
        self.closed_utc = self.closed_utc or date


class Beat(NamedTuple):
    """The last heartbeat and the close of one session key, in Unix milliseconds; 0 means never."""

    project_id: bytes
    digest: bytes
    beaten_ms: int = 0
    closed_ms: int = 0


def apply_beat(beat: Beat, sessions: Sequence[tuple[Session, datetime]]) -> bool:
    """Apply a heartbeat to the sessions of its key; returns whether its last part found a session.

    Each session comes with the server time of its last activity, which counts as well as its events' dates
    because the client's clock may be slow.
    """
    session: Session | None = None
    # In order of time: a heartbeat and a close of the same moment belong to the same session.
    for milliseconds, closes in sorted([(beat.beaten_ms, False), (beat.closed_ms, True)]):
        if milliseconds:
            moment = _EPOCH + milliseconds * _MILLISECOND
            session = _active_session(sessions, moment)
            if session is not None and closes:
                session.close(moment)
            elif session is not None:
                session.touch(moment)
    return session is not None


def start_summary(session: Session, *, is_idle: bool) -> tuple[Decimal, dict[str, Any]]:
    """What the start event shows: the duration in seconds as its value, and members of its data."""
    # A session that may still go on shows no end.
    end = session.closed_utc or (session.last_utc if is_idle else None)
    duration = max((end or session.last_utc) - session.start_utc, timedelta())
    members: dict[str, Any] = {}
    if end is not None:
        members["sessionend"] = end.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if session.has_error:
        members["haserror"] = True
    return Decimal(duration // _MILLISECOND) / 1000, members


def _active_session(sessions: Sequence[tuple[Session, datetime]], moment: datetime) -> Session | None:
    """The latest session active at that time: a manual one, or one with activity shortly before."""
    alive = [
        session
        for session, heard_utc in sessions
        if session.start_utc <= moment
        and (session.closed_utc is None or moment <= session.closed_utc)
        and (session.key.is_manual or moment - max(session.last_utc, heard_utc) <= IDLE)
    ]
    return max(alive, key=lambda session: (session.key.is_manual, session.last_utc), default=None)

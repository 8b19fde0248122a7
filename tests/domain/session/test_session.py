"""Which heartbeats belong to a session, and what its start event shows."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from collector.domain.event.session_key import SessionKey
from collector.domain.session.session import Beat, Session, apply_beat, start_summary

PROJECT = b"\x02" * 16
NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
USER_KEY = SessionKey(PROJECT, b"u" * 20, is_manual=False)
NAMED_KEY = SessionKey(PROJECT, b"n" * 20, is_manual=True)


def _session(first: float = 0, last: float = 0, key: SessionKey = USER_KEY, **members: Any) -> Session:
    """A known session."""
    start, end = NOON + first * MINUTE, NOON + last * MINUTE
    return Session(key, b"\x07" * 16, "0" * 32, start, end, **members)


def _beat(beaten: float | None = None, closed: float | None = None) -> Beat:
    """In minutes after noon."""
    ms = [
        0 if minutes is None else round((NOON + minutes * MINUTE).timestamp() * 1000)
        for minutes in (beaten, closed)
    ]
    return Beat(PROJECT, b"u" * 20, *ms)


def test_a_heartbeat_belongs_to_the_latest_active_session() -> None:
    """It counts as activity, like an event."""
    old, new = _session(-60, -50), _session(-30, 0)

    assert apply_beat(_beat(15), [(old, NOON), (new, NOON)])
    assert (new.last_utc, new.is_touched, old.is_touched) == (NOON + 15 * MINUTE, True, False)


@pytest.mark.parametrize(
    "minutes", [pytest.param(16, id="after a long silence"), pytest.param(-31, id="before its beginning")]
)
def test_a_heartbeat_that_fits_no_session_changes_none(minutes: float) -> None:
    """Its own may still be in the stream."""
    session = _session(-30, 0)

    assert not apply_beat(_beat(minutes), [(session, NOON)])
    assert not session.is_touched


def test_a_session_of_a_client_with_a_slow_clock_is_found_by_server_time() -> None:
    """Heartbeats carry ingest's time, events their client's."""
    slow = _session(-90, -80)

    assert apply_beat(_beat(1), [(slow, NOON)])
    assert slow.last_utc == NOON + MINUTE


def test_a_manual_session_accepts_a_heartbeat_after_any_pause() -> None:
    """The heartbeat names it."""
    named = _session(0, 5, key=NAMED_KEY)

    assert apply_beat(_beat(600), [(named, NOON)])


def test_a_heartbeat_can_close_a_session() -> None:
    """A repeat changes nothing."""
    session = _session(0, 5)

    assert apply_beat(_beat(closed=6), [(session, NOON)])
    assert session.closed_utc == session.last_utc == NOON + 6 * MINUTE
    assert apply_beat(_beat(closed=6), [(session, NOON)])
    assert session.closed_utc == NOON + 6 * MINUTE


def test_a_beat_after_a_close_belongs_to_another_session() -> None:
    """That one is not stored yet, so the beat is kept."""
    session = _session(0, 5)

    assert not apply_beat(_beat(beaten=7, closed=6), [(session, NOON)])
    assert (session.closed_utc, session.last_utc) == (NOON + 6 * MINUTE, NOON + 6 * MINUTE)


def test_a_start_shows_the_duration_of_its_session() -> None:
    """In seconds. While it continues there is no end."""
    assert start_summary(_session(0, 1.5), is_idle=False) == (Decimal(90), {})


def test_a_start_shows_the_end_and_errors_of_its_session() -> None:
    """The end is when the client said so, or the last activity."""
    closed = _session(0, 9, closed_utc=NOON + 2 * MINUTE, has_error=True)

    summary = {"sessionend": "2026-01-15T12:02:00Z", "haserror": True}
    assert start_summary(closed, is_idle=False) == (Decimal(120), summary)
    assert start_summary(_session(0, 9), is_idle=True) == (
        Decimal(540),
        {"sessionend": "2026-01-15T12:09:00Z"},
    )

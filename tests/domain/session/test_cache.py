"""Which events the cache joins to a session without a query, and which need one."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from collector.domain.event.outcome import Event
from collector.domain.event.session_key import SessionKey
from collector.domain.ids import derived_event_id
from collector.domain.session.cache import FRESH_SECONDS, MAX_ROW_LAG, ActiveSessions
from collector.domain.session.session import IDLE, Session
from tests.database.rows import PROJECT, an_event

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
READ_AT = 1000.0
KEY = SessionKey(PROJECT.bytes, b"u" * 20, is_manual=False)
FIRST = an_event(date=NOON).id


def _event(minutes: float = 1, **members: Any) -> Event:
    values: dict[str, Any] = {"date": NOON + minutes * MINUTE, "session_key": KEY, "data": b'{"x":1}'}
    return an_event(**(values | members))


def _session(**members: Any) -> Session:
    """Ten minutes long so far."""
    values: dict[str, Any] = {
        "key": KEY,
        "start_event_id": derived_event_id(FIRST),
        "session_id": "a-session-id",
        "start_utc": NOON,
        "last_utc": NOON + 10 * MINUTE,
    }
    return Session(**(values | members))


def _cache_with(*sessions: Session, limit: int = 10) -> ActiveSessions:
    active = ActiveSessions(limit)
    for session in sessions:
        active.put({session.key: [session]}, READ_AT)
    return active


def _is_joined(active: ActiveSessions, event: Event, now: float = READ_AT) -> bool:
    return not active.join([event], now).misses


@pytest.mark.parametrize(
    ("event", "is_joined"),
    [
        pytest.param(_event(5), True, id="within"),
        pytest.param(_event(25), True, id="shortly after"),
        pytest.param(_event(25.1), False, id="after a long pause"),
        pytest.param(_event(-0.1), False, id="before its start"),
        pytest.param(_event(type="session"), False, id="a start"),
        pytest.param(_event(type="sessionend"), False, id="an end"),
        pytest.param(_event(type="error"), False, id="its first error"),
        pytest.param(_event(id=FIRST), False, id="the one that began it"),
    ],
)
def test_only_events_that_a_cached_session_decides_on_are_joined(event: Event, is_joined: bool) -> None:  # noqa: FBT001
    """Other events stay unchanged and are looked up in Postgres."""
    joined = _cache_with(_session()).join([event], READ_AT)

    assert joined.misses == (set() if is_joined else {KEY})
    data = msgspec.json.decode(joined.events[0].data or b"{}")
    assert data == ({"x": 1, "@ref:session": "a-session-id"} if is_joined else {"x": 1})


def test_an_unknown_key_is_a_miss_and_an_event_without_a_key_stays_unchanged() -> None:
    """The order stays."""
    events = [_event(session_key=None), _event()]

    joined = ActiveSessions().join(events, READ_AT)

    assert (joined.events, joined.misses) == (events, {KEY})


def test_an_error_of_a_session_that_has_one_is_joined() -> None:
    """Its row already records an error."""
    assert _is_joined(_cache_with(_session(has_error=True)), _event(type="error"))


def test_one_miss_makes_all_events_of_its_key_misses() -> None:
    """Which session each of them is of depends on the others."""
    joined = _cache_with(_session()).join([_event(5), _event(60)], READ_AT)

    assert (joined.misses, joined.latest) == ({KEY}, {})


def test_a_session_is_read_again_after_its_freshness_expires() -> None:
    """Another worker may have ended it."""
    active = _cache_with(_session())

    assert _is_joined(active, _event(), READ_AT + FRESH_SECONDS)
    assert not _is_joined(active, _event(), READ_AT + FRESH_SECONDS + 1)
    active.put({KEY: [_session()]}, READ_AT + 60)
    assert _is_joined(active, _event(), READ_AT + 60 + FRESH_SECONDS)


def test_a_session_that_its_client_closed_is_dropped() -> None:
    """A manual one takes events all the same, at any date."""
    active = _cache_with(_session(), _session(closed_utc=NOON + 10 * MINUTE))
    assert not _is_joined(active, _event())

    manual = KEY._replace(is_manual=True)
    active = _cache_with(_session(key=manual, closed_utc=NOON + 10 * MINUTE))
    sent = _event(6000, session_key=manual)
    assert active.join([sent], READ_AT).events == [sent]


def test_of_several_sessions_the_latest_is_cached() -> None:
    """The next event is most likely of that one."""
    active = ActiveSessions()
    later = _session(start_utc=NOON + 60 * MINUTE, last_utc=NOON + 60 * MINUTE, start_event_id=b"\7" * 16)
    active.put({KEY: [later, _session()]}, READ_AT)

    assert [_is_joined(active, _event(minutes)) for minutes in (5, 61)] == [False, True]


def test_joined_events_extend_the_session_only_after_the_commit() -> None:
    """A transaction that fails leaves nothing behind."""
    active = _cache_with(_session())
    joined = active.join([_event(11), _event(20)], READ_AT)

    assert not _is_joined(active, _event(30))
    active.mark_stored(joined.latest, ())
    assert _is_joined(active, _event(30))


def test_a_row_is_overdue_when_it_would_lag_too_far_behind() -> None:
    """The other rows are flushed periodically, in one go."""
    active = _cache_with(_session())
    little = active.join([_event(date=NOON + 10 * MINUTE + MAX_ROW_LAG)], READ_AT).latest
    much = active.join([_event(date=NOON + 10 * MINUTE + MAX_ROW_LAG + SECOND)], READ_AT).latest

    assert active.overdue(little) == []
    [overdue] = active.overdue(much)
    assert overdue.last_utc == NOON + 10 * MINUTE + MAX_ROW_LAG + SECOND
    active.mark_stored(little, ())
    active.mark_stored(much, [overdue])
    assert active.take_dirty() == []
    assert active.overdue(active.join([_event(11)], READ_AT).latest) == []


def test_activity_that_could_not_be_flushed_is_kept() -> None:
    """Even if its session is evicted and read again."""
    active = _cache_with(_session(), limit=1)
    active.mark_stored(active.join([_event(10.2)], READ_AT).latest, ())
    for number in range(3):
        key = KEY._replace(digest=bytes([number] * 20))
        active.put({key: [_session(key=key, start_event_id=bytes([number] * 16))]}, READ_AT)
    active.put({KEY: [_session()]}, READ_AT)

    [dirty] = active.take_dirty()
    active.requeue([dirty])
    assert dirty.session.last_utc == NOON + 10.2 * MINUTE
    assert active.find([KEY]) == {KEY: dirty.session}
    assert active.take_dirty() == [dirty]


def test_every_row_is_overdue_once_too_many_are_dirty() -> None:
    """So memory stays bounded while flushing fails."""
    active = _cache_with(_session(), limit=1)
    active.mark_stored(active.join([_event(10.1)], READ_AT).latest, ())

    assert len(active.overdue(active.join([_event(10.2)], READ_AT).latest)) == 1


def test_the_cache_is_bounded_and_keeps_the_last_used_sessions() -> None:
    """An evicted session costs a query."""
    keys = [KEY._replace(digest=bytes([number] * 20)) for number in range(20)]
    active = ActiveSessions(limit=5)
    for number, key in enumerate(keys):
        active.put({key: [_session(key=key, start_event_id=bytes([number] * 16))]}, READ_AT)
        assert _is_joined(active, _event(session_key=keys[0]))

    known = active.find(keys)
    assert 5 <= len(known) <= 10
    assert {keys[0], keys[-1]} <= known.keys()


def test_the_last_dates_there_are_are_dates_like_any() -> None:
    """Nothing is later than the last one."""
    last = datetime.max.replace(tzinfo=UTC)

    assert _is_joined(_cache_with(_session(last_utc=last - IDLE / 2)), _event(date=last))

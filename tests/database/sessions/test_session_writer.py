"""The store's cache of sessions is never ahead of what is committed, and its activity reaches Postgres."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from collector.database.errors import DatabaseUnavailable
from collector.database.sessions.upkeep import apply_beats
from collector.database.writing.store import BatchStore
from collector.domain.event.outcome import Event, Tally
from collector.domain.event.session_key import digest_of_key
from collector.domain.ids import derived_event_id
from collector.domain.session.cache import FRESH_SECONDS
from collector.domain.session.session import Beat
from tests.database.rows import PROJECT, normalized, stored, today
from tests.database.session_rows import a_user_event, sessions
from tests.support.fakes import FakeClock

pytestmark = pytest.mark.integration

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)


@pytest.fixture
def clock() -> FakeClock:
    """A clock that the test advances."""
    return FakeClock()


@pytest.fixture
def store(pool: asyncpg.Pool, clock: FakeClock) -> BatchStore:
    """The store of one worker."""
    return BatchStore(pool, clock=clock)


def _event(seconds: float = 0, **members: Any) -> Event:
    return a_user_event(today() + seconds * SECOND, **members)


@asynccontextmanager
async def _failing(pool: asyncpg.Pool) -> AsyncIterator[None]:
    """Make the last statement of every storing transaction fail."""
    await pool.execute("ALTER TABLE processed RENAME TO hidden")
    yield
    await pool.execute("ALTER TABLE hidden RENAME TO processed")


async def _duration(pool: asyncpg.Pool) -> timedelta:
    """The duration of the only session according to its row."""
    [session] = await sessions(pool)
    duration: timedelta = session["last_utc"] - session["start_utc"]
    return duration


async def test_a_cached_session_is_not_read_again(store: BatchStore, pool: asyncpg.Pool) -> None:
    """The table is hidden: nothing is read, and a little activity is written later."""
    await store.save([normalized(_event())])
    await pool.execute("ALTER TABLE sessions RENAME TO hidden")

    assert await store.save([normalized(_event(1), _event(2))]) == Tally(stored=2)

    await pool.execute("ALTER TABLE hidden RENAME TO sessions")
    assert await _duration(pool) == timedelta()
    await store.flush_activity()
    assert await _duration(pool) == 2 * SECOND


async def test_much_activity_is_written_with_its_events(store: BatchStore, pool: asyncpg.Pool) -> None:
    """So that a worker that is killed loses little of it."""
    await store.save([normalized(_event())])
    await store.save([normalized(_event(60))])

    assert await _duration(pool) == MINUTE


async def test_activity_that_cannot_be_written_is_written_the_next_time(
    store: BatchStore, pool: asyncpg.Pool
) -> None:
    """An outage does not lose it."""
    await store.save([normalized(_event())])
    await store.save([normalized(_event(1))])
    await pool.execute("ALTER TABLE sessions RENAME TO hidden")
    with pytest.raises(asyncpg.UndefinedTableError):
        await store.flush_activity()
    await pool.execute("ALTER TABLE hidden RENAME TO sessions")

    await store.flush_activity()

    assert await _duration(pool) == SECOND


async def test_a_session_whose_events_were_not_stored_gets_its_start_with_them(
    store: BatchStore, pool: asyncpg.Pool
) -> None:
    """The session was inserted before. The worker that stores its first event stores the start, once."""
    batch, other = normalized(first := _event()), normalized(_event(1))
    async with _failing(pool):
        with pytest.raises((DatabaseUnavailable, asyncpg.PostgresError)):
            await store.save([batch])
    assert (await stored(pool), len(await sessions(pool))) == ([], 1)

    assert await store.save([other]) == Tally(stored=1)
    assert await store.save([batch]) == Tally(stored=1, derived=1)
    assert await store.save([batch]) == Tally(replayed=1)
    starts = [row["id"].bytes for row in await stored(pool) if row["type"] == "session"]
    assert starts == [derived_event_id(first.id)]
    assert len(await sessions(pool)) == 1


async def test_a_clients_start_that_failed_is_not_a_second_start_when_retried(
    store: BatchStore, pool: asyncpg.Pool
) -> None:
    """It finds the session that its first attempt inserted."""
    batch = normalized(_event(type="session"))
    async with _failing(pool):
        with pytest.raises((DatabaseUnavailable, asyncpg.PostgresError)):
            await store.save([batch])

    assert await store.save([batch]) == Tally(stored=1)
    assert len(await sessions(pool)) == 1


async def test_a_transaction_that_failed_does_not_extend_a_session(
    store: BatchStore, pool: asyncpg.Pool
) -> None:
    """An event half an hour later starts another session."""
    await store.save([normalized(_event())])
    async with _failing(pool):
        with pytest.raises((DatabaseUnavailable, asyncpg.PostgresError)):
            await store.save([normalized(_event(14 * 60))])

    assert await store.save([normalized(_event(28 * 60))]) == Tally(stored=1, derived=1)


async def test_an_end_from_elsewhere_is_noticed_when_the_cache_expires(
    store: BatchStore, pool: asyncpg.Pool, clock: FakeClock
) -> None:
    """A heartbeat closes the session; later events start another one."""
    await store.save([normalized(_event())])
    closed_ms = round(today().timestamp() * 1000) + 1000
    await apply_beats(pool, [Beat(PROJECT.bytes, digest_of_key("jane"), 0, closed_ms)])

    assert await store.save([normalized(_event(2))]) == Tally(stored=1)
    clock.advance(FRESH_SECONDS + 1)
    assert await store.save([normalized(_event(3))]) == Tally(stored=1, derived=1)


async def test_an_end_among_the_events_counts_in_the_next_transaction(store: BatchStore) -> None:
    """The cache is updated with the commit."""
    await store.save([normalized(_event())])
    await store.save([normalized(_event(1, type="sessionend"))])

    assert await store.save([normalized(_event(2))]) == Tally(stored=1, derived=1)


async def test_two_workers_share_a_session(store: BatchStore, pool: asyncpg.Pool) -> None:
    """Each caches it; its row gets the latest activity of both."""
    other = BatchStore(pool)
    await store.save([normalized(_event())])
    for seconds, each in ((1, other), (5, store), (3, other)):
        assert await each.save([normalized(_event(seconds))]) == Tally(stored=1)

    await store.flush_activity()
    await other.flush_activity()

    assert await _duration(pool) == 5 * SECOND


async def test_a_session_continues_from_activity_that_is_not_written_yet(
    store: BatchStore, pool: asyncpg.Pool
) -> None:
    """Its last event counts, although its row does not say so."""
    await store.save([normalized(_event())])
    await store.save([normalized(_event(20))])

    assert await _duration(pool) == timedelta()
    assert await store.save([normalized(_event(15 * 60 + 20, type="error"))]) == Tally(stored=1)
    [session] = await sessions(pool)
    assert session["has_error"]


async def test_a_replay_may_come_together_with_new_events(store: BatchStore, pool: asyncpg.Pool) -> None:
    """The replay is left out, and the new events are stored."""
    batch = normalized(_event())
    await store.save([batch])

    both = [batch, normalized(_event(1), _event(2, user="john"))]
    assert await store.save(both) == Tally(stored=2, derived=1, replayed=1)
    assert len([row for row in await stored(pool) if row["type"] == "session"]) == 2

"""What a store remembers of sessions: never more than what is true, and Postgres is told of it in time."""

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
from tests.fakes import FakeClock

pytestmark = pytest.mark.integration

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)


@pytest.fixture
def clock() -> FakeClock:
    """Moved by hand."""
    return FakeClock()


@pytest.fixture
def store(pool: asyncpg.Pool, clock: FakeClock) -> BatchStore:
    """One worker's."""
    return BatchStore(pool, clock=clock)


def _event(seconds: float = 0, **members: Any) -> Event:
    return a_user_event(today() + seconds * SECOND, **members)


@asynccontextmanager
async def _failing(pool: asyncpg.Pool) -> AsyncIterator[None]:
    """No transaction can be finished: its last statement fails, and may be repeated."""
    await pool.execute("ALTER TABLE processed RENAME TO hidden")
    yield
    await pool.execute("ALTER TABLE hidden RENAME TO processed")


async def _last(pool: asyncpg.Pool) -> timedelta:
    """How long the only session is, as its row says."""
    [session] = await sessions(pool)
    duration: timedelta = session["last_utc"] - session["start_utc"]
    return duration


async def test_known_sessions_are_not_asked_for(store: BatchStore, pool: asyncpg.Pool) -> None:
    """Their table may be out of the way: nothing is read, and little activity is told later."""
    await store.save([normalized(_event())])
    await pool.execute("ALTER TABLE sessions RENAME TO hidden")

    assert await store.save([normalized(_event(1), _event(2))]) == Tally(stored=2)

    await pool.execute("ALTER TABLE hidden RENAME TO sessions")
    assert await _last(pool) == timedelta()
    await store.flush_activity()
    assert await _last(pool) == 2 * SECOND


async def test_much_activity_is_told_with_its_events(store: BatchStore, pool: asyncpg.Pool) -> None:
    """A worker that is killed forgets little."""
    await store.save([normalized(_event())])
    await store.save([normalized(_event(60))])

    assert await _last(pool) == MINUTE


async def test_activity_that_cannot_be_told_is_told_the_next_time(
    store: BatchStore, pool: asyncpg.Pool
) -> None:
    """An outage loses none of it."""
    await store.save([normalized(_event())])
    await store.save([normalized(_event(1))])
    await pool.execute("ALTER TABLE sessions RENAME TO hidden")
    with pytest.raises(asyncpg.UndefinedTableError):
        await store.flush_activity()
    await pool.execute("ALTER TABLE hidden RENAME TO sessions")

    await store.flush_activity()

    assert await _last(pool) == SECOND


async def test_a_session_whose_events_were_not_stored_gets_its_start_with_them(
    store: BatchStore, pool: asyncpg.Pool
) -> None:
    """It was begun before; whoever stores its first event stores the start, once."""
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


async def test_a_start_that_was_not_stored_is_no_second_one(store: BatchStore, pool: asyncpg.Pool) -> None:
    """The client's own start finds its session begun already, by itself."""
    batch = normalized(_event(type="session"))
    async with _failing(pool):
        with pytest.raises((DatabaseUnavailable, asyncpg.PostgresError)):
            await store.save([batch])

    assert await store.save([batch]) == Tally(stored=1)
    assert len(await sessions(pool)) == 1


async def test_a_transaction_that_failed_moves_no_session(store: BatchStore, pool: asyncpg.Pool) -> None:
    """Half an hour later is another session, as if it had never been tried."""
    await store.save([normalized(_event())])
    async with _failing(pool):
        with pytest.raises((DatabaseUnavailable, asyncpg.PostgresError)):
            await store.save([normalized(_event(14 * 60))])

    assert await store.save([normalized(_event(28 * 60))]) == Tally(stored=1, derived=1)


async def test_an_end_that_somebody_else_set_is_noticed_after_a_while(
    store: BatchStore, pool: asyncpg.Pool, clock: FakeClock
) -> None:
    """Such as a heartbeat that closes: what comes later is another session."""
    await store.save([normalized(_event())])
    closed_ms = round(today().timestamp() * 1000) + 1000
    await apply_beats(pool, [Beat(PROJECT.bytes, digest_of_key("jane"), 0, closed_ms)])

    assert await store.save([normalized(_event(2))]) == Tally(stored=1)
    clock.advance(FRESH_SECONDS + 1)
    assert await store.save([normalized(_event(3))]) == Tally(stored=1, derived=1)


async def test_an_end_that_came_with_the_events_is_known_at_once(store: BatchStore) -> None:
    """In the very next transaction."""
    await store.save([normalized(_event())])
    await store.save([normalized(_event(1, type="sessionend"))])

    assert await store.save([normalized(_event(2))]) == Tally(stored=1, derived=1)


async def test_two_workers_share_a_session(store: BatchStore, pool: asyncpg.Pool) -> None:
    """Each remembers it, and its row is as long as the longest that either of them tells."""
    other = BatchStore(pool)
    await store.save([normalized(_event())])
    for seconds, each in ((1, other), (5, store), (3, other)):
        assert await each.save([normalized(_event(seconds))]) == Tally(stored=1)

    await store.flush_activity()
    await other.flush_activity()

    assert await _last(pool) == 5 * SECOND


async def test_a_session_goes_on_where_its_row_was_not_told_yet(
    store: BatchStore, pool: asyncpg.Pool
) -> None:
    """Its last event counts, told or not."""
    await store.save([normalized(_event())])
    await store.save([normalized(_event(20))])

    assert await _last(pool) == timedelta()
    assert await store.save([normalized(_event(15 * 60 + 20, type="error"))]) == Tally(stored=1)
    [session] = await sessions(pool)
    assert session["has_error"]


async def test_part_of_what_was_looked_for_may_be_stored_already(
    store: BatchStore, pool: asyncpg.Pool
) -> None:
    """A replay comes together with new events: it is left out, they are stored."""
    batch = normalized(_event())
    await store.save([batch])

    both = [batch, normalized(_event(1), _event(2, user="john"))]
    assert await store.save(both) == Tally(stored=2, derived=1, replayed=1)
    assert len([row for row in await stored(pool) if row["type"] == "session"]) == 2

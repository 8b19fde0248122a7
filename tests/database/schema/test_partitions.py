"""Partitions are made ahead and dropped behind, by Postgres's clock."""

import asyncio
from datetime import UTC, date, datetime, timedelta

import asyncpg
import pytest

from collector.database.schema.partitions import (
    maintain_partitions,
    make_missing_partitions,
    partition_days,
    partition_name,
)
from collector.domain.ids import lowest_id
from tests.real_clock import real_days_ago, real_now

pytestmark = pytest.mark.integration

DAY = timedelta(days=1)


async def days(pool: asyncpg.Pool) -> list[date]:
    """The days that have a partition."""
    async with pool.acquire() as connection:
        return await partition_days(connection)


async def make(pool: asyncpg.Pool, *wanted: date) -> tuple[date, ...]:
    """Make leaves for these days."""
    async with pool.acquire() as connection:
        return await make_missing_partitions(connection, wanted)


async def set_last_run(pool: asyncpg.Pool, ago: timedelta) -> None:
    """Let maintenance have run that long ago."""
    await pool.execute(
        "INSERT INTO maintenance_runs VALUES ('leaves', now() - $1::interval)"
        " ON CONFLICT (job) DO UPDATE SET ran_utc = excluded.ran_utc",
        ago,
    )


async def test_today_and_the_days_ahead_have_partitions(pool: asyncpg.Pool) -> None:
    """Midnight finds its partition ready; the second run makes nothing."""
    today = real_now().date()

    changes = await maintain_partitions(pool, retention_days=30, days_ahead=2)

    # Where midnight passes between two lines of this test, the day after is there as well.
    assert changes.made[0] - today <= DAY
    assert await days(pool) == [changes.made[0] + DAY * n for n in range(3)]
    assert (await maintain_partitions(pool, retention_days=30, days_ahead=1)).made == ()


async def test_a_partition_takes_the_events_of_its_utc_day_and_refuses_double_references(
    pool: asyncpg.Pool,
) -> None:
    """What a partition is: a range of ids, and an index that the table as a whole cannot have."""
    await make(pool, date(2026, 11, 22))

    bounds = await pool.fetchval(
        "SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = 'events_20261122'"
    )
    begin, end = (lowest_id(datetime(2026, 11, day, tzinfo=UTC)) for day in (22, 23))
    assert bounds == f"FOR VALUES FROM ('{begin}') TO ('{end}')"
    index = await pool.fetchval(
        "SELECT indexdef FROM pg_indexes WHERE indexname = 'events_20261122_reference'"
    )
    assert "UNIQUE" in index
    assert "(project_id, reference_id) WHERE (reference_id <> 'invalid-reference-id'::text)" in index


async def test_several_that_make_the_same_partition_at_once_make_it_once(pool: asyncpg.Pool) -> None:
    """Workers meet a new day together."""
    async with asyncio.TaskGroup() as tasks:
        runs = [tasks.create_task(make(pool, date(2026, 1, 1), date(2026, 1, 2))) for _ in range(4)]

    made = [day for run in runs for day in run.result()]
    assert sorted(made) == [date(2026, 1, 1), date(2026, 1, 2)]


async def test_a_partition_is_made_while_somebody_reads(pool: asyncpg.Pool) -> None:
    """An open reader of `events` does not hold up a worker that needs a new partition."""
    async with pool.acquire() as reader, reader.transaction():
        await reader.fetch("SELECT * FROM events")

        async with asyncio.timeout(5):
            assert await make(pool, date(2026, 1, 1)) == (date(2026, 1, 1),)


async def test_the_oldest_expired_partition_is_dropped_one_a_run(pool: asyncpg.Pool) -> None:
    """Retention is DROP of whole leaves, never more than one at a time."""
    old, older = real_days_ago(41).date(), real_days_ago(42).date()
    kept = real_days_ago(30).date()
    await make(pool, older, old, kept)
    await set_last_run(pool, timedelta(hours=1))

    first = await maintain_partitions(pool, retention_days=30, days_ahead=0)
    second = await maintain_partitions(pool, retention_days=30, days_ahead=0)
    third = await maintain_partitions(pool, retention_days=30, days_ahead=0)

    assert (first.dropped, second.dropped, third.dropped) == (older, old, None)
    assert kept in await days(pool)
    assert await pool.fetchval("SELECT to_regclass($1)", partition_name(older)) is None


@pytest.mark.parametrize(
    "ago",
    [
        pytest.param(timedelta(days=2), id="the clock jumped ahead, or nothing ran for days"),
        pytest.param(timedelta(days=-2), id="the clock jumped back"),
    ],
)
async def test_nothing_is_dropped_after_the_clock_moved_more_than_a_day(
    pool: asyncpg.Pool, ago: timedelta
) -> None:
    """A wrong clock costs no data before somebody can look; the next run goes on."""
    old = real_days_ago(40).date()
    await make(pool, old)
    await set_last_run(pool, ago)

    assert (await maintain_partitions(pool, retention_days=30, days_ahead=0)).dropped is None
    assert (await maintain_partitions(pool, retention_days=30, days_ahead=0)).dropped == old


async def test_nothing_is_dropped_by_the_very_first_run(pool: asyncpg.Pool) -> None:
    """There is no earlier time to compare the clock with."""
    old = real_days_ago(40).date()
    await make(pool, old)

    assert (await maintain_partitions(pool, retention_days=30, days_ahead=0)).dropped is None
    assert old in await days(pool)


async def test_a_drop_gives_way_to_readers(pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long query keeps its partition; a later run drops it."""
    monkeypatch.setattr("collector.database.schema.partitions._DROP_PAUSE_SECONDS", 0.01)
    old = real_days_ago(40).date()
    await make(pool, old)
    await set_last_run(pool, timedelta(hours=1))

    async with pool.acquire() as reader, reader.transaction():
        await reader.fetch("SELECT * FROM events")
        assert (await maintain_partitions(pool, retention_days=30, days_ahead=0)).dropped is None

    assert (await maintain_partitions(pool, retention_days=30, days_ahead=0)).dropped == old


async def test_two_that_drop_the_same_partition_do_not_collide(pool: asyncpg.Pool) -> None:
    """Several workers run maintenance."""
    old = real_days_ago(40).date()
    await make(pool, old)
    await set_last_run(pool, timedelta(hours=1))

    async with asyncio.TaskGroup() as tasks:
        runs = [
            tasks.create_task(maintain_partitions(pool, retention_days=30, days_ahead=0)) for _ in range(3)
        ]

    assert {run.result().dropped for run in runs} <= {old, None}
    assert old not in await days(pool)

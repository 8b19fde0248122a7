"""Partitions are made ahead and dropped after retention, by Postgres's clock."""

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
from tests.support.real_clock import real_days_ago, real_now

pytestmark = pytest.mark.integration

DAY = timedelta(days=1)


async def days(pool: asyncpg.Pool) -> list[date]:
    """The days that have a partition."""
    async with pool.acquire() as connection:
        return await partition_days(connection)


async def make(pool: asyncpg.Pool, *wanted: date) -> tuple[date, ...]:
    """Make partitions for these days."""
    async with pool.acquire() as connection:
        return await make_missing_partitions(connection, wanted)


async def set_last_run(pool: asyncpg.Pool, ago: timedelta) -> None:
    """Pretend that maintenance ran that long ago."""
    await pool.execute(
        "INSERT INTO maintenance_runs VALUES ('partitions', now() - $1::interval)"
        " ON CONFLICT (job) DO UPDATE SET ran_utc = excluded.ran_utc",
        ago,
    )


async def test_today_and_the_days_ahead_have_partitions(pool: asyncpg.Pool) -> None:
    """So that the partition exists at midnight; a second run makes nothing."""
    today = real_now().date()

    changes = await maintain_partitions(pool, retention_days=30, days_ahead=2)

    # Midnight may pass between two lines of this test.
    assert changes.made[0] - today <= DAY
    assert await days(pool) == [changes.made[0] + DAY * n for n in range(3)]
    assert (await maintain_partitions(pool, retention_days=30, days_ahead=1)).made == ()


async def test_a_partition_has_the_ids_of_its_utc_day_and_unique_references(
    pool: asyncpg.Pool,
) -> None:
    """A unique index without the partition key is not possible on the whole table."""
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


async def test_concurrent_workers_make_a_partition_once(pool: asyncpg.Pool) -> None:
    """Several workers get the first events of a day together."""
    async with asyncio.TaskGroup() as tasks:
        runs = [tasks.create_task(make(pool, date(2026, 1, 1), date(2026, 1, 2))) for _ in range(4)]

    made = [day for run in runs for day in run.result()]
    assert sorted(made) == [date(2026, 1, 1), date(2026, 1, 2)]


async def test_a_partition_is_made_while_a_query_runs(pool: asyncpg.Pool) -> None:
    """An open reader of `events` does not block a worker that needs a new partition."""
    async with pool.acquire() as reader, reader.transaction():
        await reader.fetch("SELECT * FROM events")

        async with asyncio.timeout(5):
            assert await make(pool, date(2026, 1, 1)) == (date(2026, 1, 1),)


async def test_each_run_drops_only_the_oldest_expired_partition(pool: asyncpg.Pool) -> None:
    """Retention drops whole partitions, never more than one at a time."""
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
    """So that a wrong clock deletes nothing before an operator can notice; the next run goes on."""
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


async def test_concurrent_workers_drop_a_partition_without_errors(pool: asyncpg.Pool) -> None:
    """Several workers may run maintenance."""
    old = real_days_ago(40).date()
    await make(pool, old)
    await set_last_run(pool, timedelta(hours=1))

    async with asyncio.TaskGroup() as tasks:
        runs = [
            tasks.create_task(maintain_partitions(pool, retention_days=30, days_ahead=0)) for _ in range(3)
        ]

    assert {run.result().dropped for run in runs} <= {old, None}
    assert old not in await days(pool)

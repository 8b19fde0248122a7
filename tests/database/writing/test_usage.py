"""Usage is counted by hours and by months, and read for many projects or organizations together."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

import asyncpg
import pytest

from collector.database.pool import close_pool, create_pool
from collector.database.schema.migrations import migrate
from collector.database.schema.partitions import make_missing_partitions
from collector.database.writing.usage import (
    UsageKey,
    add_usage,
    forget_usage,
    organization_usage,
    project_usage,
)
from collector.domain.accounting.usage import Counts, Usage
from collector.domain.event.outcome import DERIVED, Outcome
from tests.database.rows import ORGANIZATION, OTHER_PROJECT, PROJECT
from tests.support.real_clock import real_now

pytestmark = pytest.mark.integration

NOW = datetime(2026, 11, 22, 12, 30, tzinfo=UTC)
HOUR = datetime(2026, 11, 22, 12, tzinfo=UTC)
MONTH = datetime(2026, 11, 1, tzinfo=UTC)
OTHER_ORGANIZATION = uuid5(ORGANIZATION, "other")


@pytest.fixture
async def owned(pool: asyncpg.Pool) -> asyncpg.Pool:
    """Two organizations with a project each; the first one has a further project."""
    for number, (organization, project) in enumerate(
        ((ORGANIZATION, PROJECT), (OTHER_ORGANIZATION, OTHER_PROJECT), (ORGANIZATION, third()))
    ):
        await pool.execute(
            "INSERT INTO organizations (id, name) VALUES ($1, 'Acme') ON CONFLICT DO NOTHING", organization
        )
        await pool.execute(
            "INSERT INTO projects (id, organization_id, name) VALUES ($1, $2, $3)",
            project,
            organization,
            f"Project {number}",
        )
    return pool


def third() -> UUID:
    """The further project of the first organization."""
    return uuid5(PROJECT, "third")


async def count(pool: asyncpg.Pool, events: int, hour: datetime = HOUR, **more: str | UUID) -> None:
    """Count events, by default stored ones of the first project."""
    project_id = UUID(str(more.get("project_id", PROJECT)))
    key = UsageKey(project_id, hour, Outcome(str(more.get("outcome", "stored"))), str(more.get("reason", "")))
    async with pool.acquire() as connection:
        await add_usage(connection, {key: events})


async def read_project(pool: asyncpg.Pool, project_id: UUID = PROJECT) -> Usage | None:
    """The usage of one project."""
    async with pool.acquire() as connection:
        return (await project_usage(connection, [project_id], NOW)).get(project_id)


async def test_each_outcome_is_counted_under_its_name(owned: asyncpg.Pool) -> None:
    """Derived events count as stored; duplicates and other dead letters are not shown."""
    await count(owned, 5)
    await count(owned, 1, reason=DERIVED)
    await count(owned, 2, outcome="discarded", reason="too_old")
    await count(owned, 3, outcome="discarded", reason="bot")
    await count(owned, 7, outcome="duplicate")
    await count(owned, 1, outcome="dead_lettered", reason="too_large")
    await count(owned, 9, outcome="dead_lettered", reason="too_deep")

    counts = Counts(total=6, discarded=5, too_big=1)
    assert await read_project(owned) == Usage({MONTH: counts}, {HOUR: counts})
    assert await read_project(owned, third()) is None


async def test_a_year_of_months_and_a_week_of_hours_are_read(owned: asyncpg.Pool) -> None:
    """Earlier counts are stored but not shown."""
    for days, events in ((0, 1), (1, 2), (7, 4), (8, 8), (325, 16), (360, 32)):
        await count(owned, events, HOUR - timedelta(days=days))

    usage = await read_project(owned)

    assert usage is not None
    assert {hour: counts.total for hour, counts in usage.hours.items()} == {
        HOUR: 1,
        HOUR - timedelta(days=1): 2,
        HOUR - timedelta(days=7): 4,
    }
    assert {month: counts.total for month, counts in usage.months.items()} == {
        MONTH: 15,
        datetime(2026, 1, 1, tzinfo=UTC): 16,
    }


async def test_an_organizations_usage_is_that_of_its_projects(owned: asyncpg.Pool) -> None:
    """And of no others; several organizations are read with one query."""
    await count(owned, 5)
    await count(owned, 2, project_id=third())
    await count(owned, 9, project_id=OTHER_PROJECT)

    async with owned.acquire() as connection:
        found = await organization_usage(connection, [ORGANIZATION, OTHER_ORGANIZATION], NOW)
        alone = await organization_usage(connection, [ORGANIZATION], NOW)

    assert {owner: usage.hours[HOUR].total for owner, usage in found.items()} == {
        ORGANIZATION: 7,
        OTHER_ORGANIZATION: 9,
    }
    assert alone == {ORGANIZATION: found[ORGANIZATION]}


async def test_deleted_events_are_counted_in_the_month_and_the_first_hour_of_their_day(
    owned: asyncpg.Pool,
) -> None:
    """By the time of acceptance."""
    await owned.executemany(
        "INSERT INTO removed_events (project_id, day, events) VALUES ($1, $2, $3)",
        [
            (PROJECT, (HOUR - timedelta(days=days)).date(), events)
            for days, events in ((0, 1), (7, 2), (21, 4), (400, 8))
        ],
    )
    usage = await read_project(owned)

    midnight = HOUR.replace(hour=0)
    assert usage == Usage({MONTH: Counts(deleted=7)}, {midnight: Counts(deleted=1)})


async def test_months_are_the_sums_of_their_hours(pool: asyncpg.Pool) -> None:
    """Also if several workers count concurrently in any order: there is no deadlock."""
    hours = [datetime(2026, 10, 31, 22, tzinfo=UTC) + timedelta(hours=number) for number in range(4)]
    projects = [uuid5(PROJECT, str(number)) for number in range(3)]

    async def work(number: int) -> None:
        for step_number in range(20):
            some = [(step_number + number + step) % len(hours) for step in range(1 + number % 3)]
            counts = {
                UsageKey(project, hours[index], Outcome.STORED): step_number + 1
                for project in projects[:: 1 if number % 2 else -1]
                for index in some
            }
            async with pool.acquire() as connection, connection.transaction():
                await add_usage(connection, counts)

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        for number in range(6):
            group.create_task(work(number))

    sums = "SELECT project_id, date_trunc('month', hour)::date, outcome, reason, sum(events) FROM usage"
    by_hours = await pool.fetch(f"{sums} GROUP BY 1, 2, 3, 4 ORDER BY 1, 2")
    by_months = await pool.fetch(
        "SELECT project_id, month, outcome, reason, events FROM usage_months ORDER BY 1, 2"
    )
    assert [tuple(row) for row in by_months] == [tuple(row) for row in by_hours]
    assert len(by_months) == 6


async def test_the_migration_adds_up_earlier_hours_into_months(empty_database_url: str) -> None:
    """An installation that has counted hours only."""
    await migrate(empty_database_url)
    pool = await create_pool(empty_database_url, max_size=1)
    try:
        await count(pool, 5)
        await count(pool, 2, HOUR - timedelta(days=1))
        await pool.execute("DROP TABLE usage_months")
        await pool.execute("DELETE FROM schema_migrations WHERE name = '0012_usage_months.sql'")

        await migrate(empty_database_url)

        assert await pool.fetchval("SELECT events FROM usage_months WHERE month = $1", MONTH.date()) == 7
    finally:
        await close_pool(pool)


async def test_counts_by_hour_are_forgotten_after_retention_and_those_by_month_stay(
    owned: asyncpg.Pool,
) -> None:
    """An hour of each project and outcome for each year is what nothing reads."""
    for days in (1, 30, 33, 400):
        await count(owned, 1, real_now() - timedelta(days=days))

    assert await forget_usage(owned, 7) == 2

    assert await owned.fetchval("SELECT sum(events)::int FROM usage") == 2
    assert await owned.fetchval("SELECT sum(events)::int FROM usage_months") == 4


async def test_counts_by_hour_stay_as_long_as_the_partition_that_the_audit_compares_with_them(
    owned: asyncpg.Pool,
) -> None:
    for days in (40, 60):
        await count(owned, 1, real_now() - timedelta(days=days))
    async with owned.acquire() as connection:
        await make_missing_partitions(connection, [(real_now() - timedelta(days=50)).date()])

    assert await forget_usage(owned, 7) == 1

    await owned.execute(f"DROP TABLE events_{real_now() - timedelta(days=50):%Y%m%d}")
    assert await forget_usage(owned, 7) == 1

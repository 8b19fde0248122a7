"""The daily partitions of `events`: one for each UTC day of acceptance, made ahead, dropped after retention.

A partition is created as a table and then attached, because ATTACH does not wait for open readers where
PARTITION OF does. Each has its own unique index on (project_id, reference_id), which serves look-ups and
refuses duplicates. Queries must repeat its condition literally, or they cannot use it.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

import asyncpg

from collector.database.errors import DatabaseUnavailable
from collector.database.pool import connected
from collector.domain.ids import ids_of_day

_DAY: Final = timedelta(days=1)
_PREFIX: Final = "events_"
_LOCK: Final = 0x6C656166  # an arbitrary key: transactions that make or drop a partition take turns
_MAKING_LOCK_WAIT: Final = "10s"
_DROP_LOCK_WAIT: Final = "300ms"
"""Queries of `events` queue behind a waiting DROP, so it must give up soon."""
_DROP_TRIES: Final = 5
_DROP_PAUSE_SECONDS: Final = 1.0

_RECORD_RUN: Final = """
    WITH last AS (SELECT ran_utc FROM maintenance_runs WHERE job = 'partitions')
    INSERT INTO maintenance_runs (job, ran_utc) VALUES ('partitions', now())
    ON CONFLICT (job) DO UPDATE SET ran_utc = excluded.ran_utc
    RETURNING ran_utc, (SELECT ran_utc FROM last) AS last_utc
"""


@dataclass(frozen=True, slots=True)
class PartitionChanges:
    """The partitions that one run of maintenance made and dropped."""

    made: tuple[date, ...] = ()
    dropped: date | None = None


async def maintain_partitions(pool: asyncpg.Pool, retention_days: int, days_ahead: int) -> PartitionChanges:
    """Make the partitions of today and the next `days_ahead` days; drop the oldest if past `retention_days`.

    Uses Postgres's clock. At most one partition is dropped in a run, and none if that clock moved by more
    than a day since the last run: a clock that jumps must not delete data before an operator can notice.
    """
    async with connected(pool) as connection:
        run = await connection.fetchrow(_RECORD_RUN)
        now, last = run["ran_utc"], run["last_utc"]
        is_clock_steady = last is not None and abs(now - last) <= _DAY
        today = now.astimezone(UTC).date()
        made = await make_missing_partitions(connection, [today + _DAY * n for n in range(days_ahead + 1)])
        expired = [
            day for day in await partition_days(connection) if day + _DAY <= today - _DAY * retention_days
        ]
    if not expired or not is_clock_steady:
        return PartitionChanges(made)
    return PartitionChanges(made, await _drop_patiently(pool, expired[0]))


async def make_partitions_for(
    connection: asyncpg.Connection, days: Iterable[date], retention_days: int | None
) -> set[date]:
    """Make the partitions that events of these days need, and return the days that get none.

    These are days after tomorrow or older than `retention_days` (None: no limit) by Postgres's clock: an
    ingest process with a wrong clock must not create partitions far in the future, or ones that would be
    dropped immediately.
    """
    missing = await _missing(connection, days)
    if not missing or retention_days is None:
        await _make_all(connection, missing)
        return set()
    now: datetime = await connection.fetchval("SELECT now()")
    today = now.astimezone(UTC).date()
    plausible = [day for day in missing if today - _DAY * retention_days <= day <= today + _DAY]
    await _make_all(connection, plausible)
    return set(missing).difference(plausible)


async def make_missing_partitions(connection: asyncpg.Connection, days: Iterable[date]) -> tuple[date, ...]:
    """Make the missing partitions of these days, and return those days. Not inside a transaction."""
    return await _make_all(connection, await _missing(connection, days))


async def partition_days(connection: asyncpg.Connection) -> list[date]:
    """The days that have a partition, oldest first."""
    rows = await connection.fetch(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
        r" WHERE i.inhparent = 'events'::regclass AND c.relname ~ '^events_\d{8}$'"
    )
    return sorted(date.fromisoformat(row["relname"].removeprefix(_PREFIX)) for row in rows)


async def oldest_kept(connection: asyncpg.Connection, retention_days: int) -> datetime:
    """The time from which events are kept: the begin of retention, or of the oldest partition before it.

    Partitions are dropped one by one, and not while the clock is in doubt.
    """
    end: datetime = await connection.fetchval("SELECT now() - $1::interval", timedelta(days=retention_days))
    days = await partition_days(connection)
    return min(end, datetime.combine(days[0], time(), UTC)) if days else end


def partition_name(day: date) -> str:
    """The table of a day's events: `events_20261122`."""
    return f"{_PREFIX}{day:%Y%m%d}"


async def _missing(connection: asyncpg.Connection, days: Iterable[date]) -> list[date]:
    """The days without a partition, oldest first."""
    wanted = sorted(set(days))
    found = await connection.fetch(
        "SELECT name FROM unnest($1::text[]) AS name WHERE to_regclass(name) IS NULL",
        [partition_name(day) for day in wanted],
    )
    missing = {row["name"] for row in found}
    return [day for day in wanted if partition_name(day) in missing]


async def _make_all(connection: asyncpg.Connection, days: Iterable[date]) -> tuple[date, ...]:
    """Make partitions, each in its own transaction; returns the days that another process did not."""
    made: list[date] = []
    for day in days:
        name = partition_name(day)
        begin, end = ids_of_day(day)
        async with connection.transaction():
            await connection.execute(f"SET LOCAL lock_timeout = '{_MAKING_LOCK_WAIT}'")
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            if await _is_attached(connection, name):
                continue
            # Attached after it is complete: queries of `events` wait for the shortest possible time.
            await connection.execute(
                f"CREATE TABLE {name} (LIKE events INCLUDING ALL);"
                f"CREATE UNIQUE INDEX {name}_reference ON {name} (project_id, reference_id)"
                f" WHERE reference_id <> 'invalid-reference-id';"
                f"ALTER TABLE events ATTACH PARTITION {name} FOR VALUES FROM ('{begin}') TO ('{end}')"
            )
            await connection.execute(
                "INSERT INTO partition_dates (day) VALUES ($1) ON CONFLICT DO NOTHING", day
            )
            # Nothing is in it yet: its rollups are complete.
            await connection.execute("INSERT INTO rollup_days (day) VALUES ($1) ON CONFLICT DO NOTHING", day)
        made.append(day)
    return tuple(made)


async def _is_attached(connection: asyncpg.Connection, name: str) -> bool:
    """Whether the partition exists now: `to_regclass` may answer from before we waited for the lock."""
    found: bool = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
        " WHERE i.inhparent = 'events'::regclass AND c.relname = $1)",
        name,
    )
    return found


async def _drop_patiently(pool: asyncpg.Pool, day: date) -> date | None:
    """Drop a partition, giving way to readers. None if they never paused: the next run tries again."""
    for attempt in range(_DROP_TRIES):
        if attempt:
            await asyncio.sleep(_DROP_PAUSE_SECONDS)
        try:
            await _drop(pool, day)
        except DatabaseUnavailable as error:
            if not isinstance(error.__cause__, asyncpg.LockNotAvailableError):
                raise
        else:
            return day
    return None


async def _drop(pool: asyncpg.Pool, day: date) -> None:
    name = partition_name(day)
    # Before the partition is locked, because deleting many rows takes longer than readers should wait. Until
    # it is dropped the day's events are read instead.
    async with connected(pool) as connection, connection.transaction():
        await _remove_rollups(connection, day)
    async with connected(pool) as connection, connection.transaction():
        await connection.execute(f"SET LOCAL lock_timeout = '{_DROP_LOCK_WAIT}'")
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        if await _is_attached(connection, name):
            await connection.execute(f"ALTER TABLE events DETACH PARTITION {name}; DROP TABLE {name}")
            await _remove_rollups(connection, day)
            # The partition's row in partition_dates outlives it for a day: a worker that is about to make the
            # partition again may have widened it.
            await connection.execute(
                "DELETE FROM partition_dates WHERE day < $1 AND day <> ALL($2)",
                day,
                await partition_days(connection),
            )


async def _remove_rollups(connection: asyncpg.Connection, day: date) -> None:
    # Changes before hours: this waits for a fold that is moving them, and then sees what it has added.
    tables = (
        "event_hour_changes",
        "rollup_days",
        "event_hours",
        "event_days",
        "user_hours",
        "stack_user_days",
    )
    for table in tables:
        await connection.execute(f"DELETE FROM {table} WHERE day = $1", day)  # noqa: S608 - constants only

"""The audit's figures from Postgres: what was processed, the outcomes of events, and the rows that exist."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

import asyncpg

from collector.database.pool import connected
from collector.database.schema.partitions import partition_days, partition_name
from collector.database.schema.rollups import count_differences
from collector.domain.accounting.ledger import DatabaseTotals, Processed
from collector.domain.event.outcome import Outcome

_DAY: Final = timedelta(days=1)
_COUNT_SECONDS: Final = 600.0
"""Counting a day's events reads all of them."""

_COUNT: Final = """
    SELECT count(*), count(*) FILTER (WHERE (date BETWEEN
        (SELECT smallest FROM partition_dates WHERE day = $1)
        AND (SELECT largest FROM partition_dates WHERE day = $1)) IS NOT TRUE)
    FROM {partition}
"""


async def read_ledger(pool: asyncpg.Pool, *, counts_events: bool) -> DatabaseTotals:
    """All figures from one snapshot. Raises DatabaseUnavailable."""
    async with (
        connected(pool) as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        # Before the snapshot is taken, so that no partition in it can be dropped meanwhile.
        await connection.execute("LOCK TABLE events IN ACCESS SHARE MODE")
        # Those that were removed with their project count, too.
        letters = await connection.fetch(
            """
            SELECT reason, sum(letters)::bigint FROM (
                SELECT reason, count(*) AS letters FROM dead_letters GROUP BY reason
                UNION ALL SELECT reason, letters FROM removed_dead_letters
            ) AS each GROUP BY reason
            """
        )
        totals = DatabaseTotals(
            processed=await _processed(connection),
            outcomes={
                (outcome, reason): events
                for outcome, reason, events in await connection.fetch(
                    "SELECT outcome, reason, sum(events)::bigint FROM usage_months GROUP BY outcome, reason"
                )
            },
            dead_letters=dict(letters),
        )
        return await _with_partitions(connection, totals) if counts_events else totals


async def read_processed(pool: asyncpg.Pool) -> Mapping[int, Processed]:
    """What is processed so far, by shard. Raises DatabaseUnavailable."""
    async with connected(pool) as connection:
        return await _processed(connection)


async def _processed(connection: asyncpg.Connection) -> dict[int, Processed]:
    rows = await connection.fetch(
        "SELECT shard, batches, posts, events, repeated_batches, repeated_posts, restored_batches"
        " FROM processed"
    )
    return {shard: Processed(*counts) for shard, *counts in rows}


async def _with_partitions(connection: asyncpg.Connection, totals: DatabaseTotals) -> DatabaseTotals:
    """Add each partition's events: how many were counted as stored, and how many exist or were removed."""
    partitions: dict[date, tuple[int, int]] = {}
    misdated: dict[date, int] = {}
    miscounted: dict[date, int] = {}
    for day in await partition_days(connection):
        begin = datetime.combine(day, time(), UTC)
        counted = await connection.fetchval(
            "SELECT coalesce(sum(events), 0)::bigint FROM usage"
            " WHERE outcome = $1 AND hour >= $2 AND hour < $3",
            Outcome.STORED,
            begin,
            begin + _DAY,
        )
        found, misdated[day] = await connection.fetchrow(
            _COUNT.format(partition=partition_name(day)), day, timeout=_COUNT_SECONDS
        )
        removed = await connection.fetchval(
            "SELECT coalesce(sum(events), 0)::bigint FROM removed_events WHERE day = $1", day
        )
        partitions[day] = counted, found + removed
        miscounted[day] = await count_differences(connection, day) or 0
    return replace(totals, partitions=partitions, misdated=misdated, miscounted=miscounted)

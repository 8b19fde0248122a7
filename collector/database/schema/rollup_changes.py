"""Folds what storing transactions append about their events into the rollups by hour, exactly once.

A transaction appends to `event_hour_changes`; readers add these rows to those of `event_hours`. Folding moves
them in one statement, so that each is counted in one of the two tables at any time.

`event_hours` is changed under two locks. One belongs to folds and deletions, which change rows of any day.
The other belongs to a day of acceptance: making its rollups takes it exclusively, all other changes share it.
"""

from collections.abc import Iterable
from datetime import date
from typing import Final

import asyncpg

from collector.database.pool import connected

OUTDATE_DAYS: Final = (
    "UPDATE rollup_days SET has_days = false, has_users = false, outdated_utc = now()"
    " WHERE day = ANY($1::date[]) AND (has_days OR has_users)"
)
"""Belongs to every change of hours, after `lock_days`."""

_DAY_LOCKS: Final = 0x726F6C6C
"""The class of our advisory locks for days of acceptance."""
_FOLD_LOCK: Final = 0x666F6C64
_EPOCH: Final = date(1970, 1, 1)
_MOST_CHANGES: Final = 200_000
"""In one statement, which takes a fifth of a second."""
_MOST_ROWS: Final = 5000
_MOST_FOLDS: Final = 100
"""Bounds one run; the next run continues."""

_FREE_DAYS: Final = """
    SELECT day FROM (SELECT DISTINCT day FROM event_hour_changes) AS d
    WHERE pg_try_advisory_xact_lock_shared($1, day - $2)
"""
_FOLD: Final = """
    WITH taken AS MATERIALIZED (
        DELETE FROM event_hour_changes WHERE id = ANY(ARRAY(
            SELECT id FROM (
                SELECT id, changes, sum(changes) OVER (ORDER BY id) AS total
                FROM event_hour_changes WHERE day = ANY($1::date[]) ORDER BY id LIMIT $3
            ) AS waiting WHERE total - changes < $2
        )) RETURNING *
    ), added AS (
        INSERT INTO event_hours AS h (day, project_id, stack_id, type, is_first_occurrence, begin_utc,
                                      events, counted, count_sum, earliest, latest)
        SELECT t.day, t.project_id, u.stack_id, t.type, t.is_first_occurrence,
            date_bin('1 hour', u.earliest, '2000-01-01 00:00:00+00') AS begin_utc,
            sum(u.events), coalesce(sum(u.counted), 0), coalesce(sum(u.count_sum), 0)::bigint,
            min(u.earliest), max(u.latest)
        FROM taken AS t CROSS JOIN LATERAL
            unnest(t.stack_ids, t.events, t.counted, t.count_sums, t.earliest, t.latest)
                AS u (stack_id, events, counted, count_sum, earliest, latest)
        GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 6, 3
        ON CONFLICT (day, project_id, stack_id, type, is_first_occurrence, begin_utc) DO UPDATE SET
            events = h.events + excluded.events,
            counted = h.counted + excluded.counted,
            count_sum = h.count_sum + excluded.count_sum,
            earliest = least(h.earliest, excluded.earliest),
            latest = greatest(h.latest, excluded.latest)
    )
    SELECT count(*) FROM taken
"""
"""In the order of the primary key of hours."""


async def lock_days(
    connection: asyncpg.Connection, days: Iterable[date], *, exclusively: bool = False
) -> None:
    """Keep the rollups of these days from being made until the transaction ends, or make them ourselves.

    Must be a statement of its own: the next one then sees what the previous holder has done.
    """
    function = "pg_advisory_xact_lock" if exclusively else "pg_advisory_xact_lock_shared"
    await connection.execute(
        f"SELECT {function}($1, day) FROM unnest($2::integer[]) AS d (day)",  # noqa: S608 - constants only
        _DAY_LOCKS,
        sorted((day - _EPOCH).days for day in set(days)),
    )


async def fold_changes(pool: asyncpg.Pool) -> int:
    """Fold what is waiting, except for days whose rollups are being made; returns how many rows."""
    folded = 0
    for _ in range(_MOST_FOLDS):
        async with connected(pool) as connection, connection.transaction():
            await _lock_hours(connection)
            days = [row["day"] for row in await connection.fetch(_FREE_DAYS, _DAY_LOCKS, _EPOCH)]
            rows = await _fold(connection, days) if days else 0
        if not rows:
            break
        folded += rows
    return folded


async def fold_days(connection: asyncpg.Connection, days: Iterable[date]) -> None:
    """Fold all that is waiting of these days, for a transaction that changes their hours.

    Comes after `lock_days`. Other folds and deletions wait until the transaction ends.
    """
    await _lock_hours(connection)
    while await _fold(connection, sorted(set(days))):
        pass


async def _lock_hours(connection: asyncpg.Connection) -> None:
    await connection.execute("SELECT pg_advisory_xact_lock($1, 0)", _FOLD_LOCK)


async def _fold(connection: asyncpg.Connection, days: list[date]) -> int:
    folded: int = await connection.fetchval(_FOLD, days, _MOST_CHANGES, _MOST_ROWS)
    if folded:
        # A late event: what was made of the day's hours and events lacks it.
        await connection.execute(OUTDATE_DAYS, days)
    return folded

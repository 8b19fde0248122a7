"""What the purge and removals on request share: short steps in a bounded run, and the removal of events."""

import time
from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from typing import Final
from uuid import UUID

import asyncpg

from collector.database.pool import connected
from collector.database.schema.rollup_changes import lock_days
from collector.database.schema.rollups import REMOVED_COLUMNS, RemovedEvent, day_of, subtract_events
from collector.domain.ids import ids_of_day

ROWS_AT_ONCE: Final = 5000
SETTLED: Final = timedelta(minutes=15)
"""Longer than any storing transaction that may have begun before people asked."""

_RUN_SECONDS: Final = 20.0
"""A run ends after this time, so that other jobs are not held up; the next run continues."""
_REMOVE: Final = f"""
    DELETE FROM events WHERE project_id = $1 AND id >= $2 AND id < $3 AND id = ANY(ARRAY(
        SELECT id FROM events WHERE project_id = $1 AND id >= $2 AND id < $3
            AND ($4::uuid IS NULL OR stack_id = $4) ORDER BY id LIMIT $5 FOR UPDATE))
    RETURNING {", ".join(REMOVED_COLUMNS)}
"""  # noqa: S608 - constants only


async def run_in_steps(
    pool: asyncpg.Pool, ids: Iterable[UUID], step: Callable[[asyncpg.Connection, UUID], Awaitable[int]]
) -> int:
    """Call `step` with each id until it removes no more rows, for up to `_RUN_SECONDS`; returns how many.

    Each step is a transaction: locks are short, and a crash loses one step at most.
    """
    began, removed = time.monotonic(), 0
    for id_ in ids:
        while time.monotonic() - began < _RUN_SECONDS:
            async with connected(pool) as connection, connection.transaction():
                rows = await step(connection, id_)
            removed += rows
            if not rows:
                break
    return removed


async def remove_events_of_a_day(
    connection: asyncpg.Connection, project_id: UUID, *, before: UUID, stack_id: UUID | None = None
) -> int:
    """Remove events with ids below `before` from one daily partition; returns how many.

    Rows are locked in the same order as workers do, which may still be storing, to avoid deadlocks.
    """
    first: UUID | None = await connection.fetchval(
        "SELECT id FROM events"
        " WHERE project_id = $1 AND id < $2 AND ($3::uuid IS NULL OR stack_id = $3) LIMIT 1",
        project_id,
        before,
        stack_id,
    )
    if first is None:
        return 0
    # Bounds on the ids keep the statement within one partition.
    begin, end = ids_of_day(day_of(first))
    await lock_days(connection, [day_of(first)])
    rows = await connection.fetch(_REMOVE, project_id, begin, min(before, end), stack_id, ROWS_AT_ONCE)
    await subtract_events(connection, [RemovedEvent(**row) for row in rows])
    return len(rows)

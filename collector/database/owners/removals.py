"""Removes the events of stacks and projects that people asked to be deleted, in small steps like the purge.

Only events accepted before the request are removed: what arrives afterwards is new. A stack's row goes with
its last event; a worker that is just storing another one makes it again. A request is done once no
transaction that began before it can still store an event, and no post that was accepted before it is held.
"""

import time
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg

from collector.database.pool import connected
from collector.database.schema.rollups import (
    REMOVED_COLUMNS,
    RemovedEvent,
    day_of,
    lock_days,
    subtract_events,
)
from collector.domain.ids import DAY_MS, accepted_ms, lowest_id, lowest_id_at_ms

_ROWS_AT_ONCE: Final = 5000
_RUN_SECONDS: Final = 20.0
"""A run ends after this time, so that other jobs are not held up; the next run continues."""
_SETTLED: Final = timedelta(minutes=15)
"""Longer than any storing transaction that may have begun before the request."""
_KEPT: Final = timedelta(days=1)
_ASK: Final = """
    INSERT INTO removals AS r (id, project_id, stack_id, asked_utc)
    SELECT gen_random_uuid(), project_id, stack_id, $3::timestamptz
    FROM unnest($1::uuid[], $2::uuid[]) AS asked (project_id, stack_id) ORDER BY project_id, stack_id
    ON CONFLICT (project_id, stack_id) WHERE done_utc IS NULL
        DO UPDATE SET asked_utc = greatest(r.asked_utc, excluded.asked_utc)
"""
_EMPTY: Final = """
    project_id = $1 AND ($2::uuid IS NULL OR id = $2)
    AND NOT EXISTS (SELECT FROM events AS e WHERE e.project_id = $1 AND e.stack_id = s.id)
"""
"""The condition on stacks of a removal that have no events."""


async def ask_for_removal(
    connection: asyncpg.Connection, targets: Iterable[tuple[UUID, UUID | None]], now: datetime
) -> None:
    """Record requests: for a stack of a project, or without a stack for all of the project.

    A request that is not done yet is extended to what was accepted until now.
    """
    asked = set(targets)
    await connection.execute(_ASK, [project for project, _ in asked], [stack for _, stack in asked], now)


async def remove_asked(pool: asyncpg.Pool) -> int:
    """Remove rows for up to `_RUN_SECONDS` and return how many; skips what another worker is removing."""
    began, removed = time.monotonic(), 0
    async with connected(pool) as connection:
        await connection.execute("DELETE FROM removals WHERE done_utc < now() - $1::interval", _KEPT)
        rows = await connection.fetch(
            "SELECT id FROM removals WHERE done_utc IS NULL ORDER BY asked_utc LIMIT 1000"
        )
    for row in rows:
        while time.monotonic() - began < _RUN_SECONDS:
            async with connected(pool) as connection, connection.transaction():
                step = await _step(connection, row["id"])
            removed += step
            if not step:
                break
    return removed


async def _step(connection: asyncpg.Connection, removal_id: UUID) -> int:
    """Remove some events; the stacks without any once there are none left."""
    asked = await connection.fetchrow(
        "SELECT *, asked_utc < now() - $2::interval AS is_settled FROM removals"
        " WHERE id = $1 AND done_utc IS NULL FOR UPDATE SKIP LOCKED",
        removal_id,
        _SETTLED,
    )
    if asked is None:
        return 0
    # Asked before looking for events: a held post goes after its events are stored.
    holds: bool = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM held_posts WHERE project_id = $1 AND id < $2)",
        asked["project_id"],
        lowest_id(asked["asked_utc"]),
    )
    removed = await _remove_events(connection, asked) or await _remove_stacks(connection, asked)
    if not removed and asked["is_settled"] and not holds:
        await connection.execute("UPDATE removals SET done_utc = now() WHERE id = $1", removal_id)
    return removed


async def _remove_events(connection: asyncpg.Connection, asked: Any) -> int:
    """Remove events of one daily partition and count them in `removed_events`, which the audit reads."""
    chosen = (asked["project_id"], lowest_id(asked["asked_utc"]), asked["stack_id"])
    first: UUID | None = await connection.fetchval(
        "SELECT id FROM events"
        " WHERE project_id = $1 AND id < $2 AND ($3::uuid IS NULL OR stack_id = $3) LIMIT 1",
        *chosen,
    )
    if first is None:
        return 0
    day = accepted_ms(first.bytes) // DAY_MS
    bounds = lowest_id_at_ms(day * DAY_MS), lowest_id_at_ms((day + 1) * DAY_MS)
    await lock_days(connection, [day_of(first)])
    rows = await connection.fetch(
        f"""
        DELETE FROM events WHERE project_id = $1 AND id >= $4 AND id < $5 AND id = ANY(ARRAY(
            SELECT id FROM events WHERE project_id = $1 AND id < $2 AND ($3::uuid IS NULL OR stack_id = $3)
                AND id >= $4 AND id < $5 ORDER BY id LIMIT $6 FOR UPDATE))
        RETURNING {", ".join(REMOVED_COLUMNS)}
        """,  # noqa: S608 - constants only
        *chosen,
        *bounds,
        _ROWS_AT_ONCE,
    )
    await subtract_events(connection, [RemovedEvent(**row) for row in rows])
    await connection.execute(
        """
        INSERT INTO removed_events AS r (project_id, day, events) VALUES ($1, $2, $3)
        ON CONFLICT (project_id, day) DO UPDATE SET events = r.events + excluded.events
        """,
        asked["project_id"],
        day_of(first),
        len(rows),
    )
    return len(rows)


async def _remove_stacks(connection: asyncpg.Connection, asked: Any) -> int:
    """Remove stacks that have no events, locking them in order of id as workers do; returns how many it saw.

    Two statements: the first one may wait for a worker that stores another event of a stack, and would still
    see none of it. Only the second one, with the locks held, sees what the worker has stored.
    """
    chosen = asked["project_id"], asked["stack_id"]
    rows = await connection.fetch(
        f"SELECT id FROM stacks AS s WHERE {_EMPTY} ORDER BY id LIMIT $3 FOR UPDATE",  # noqa: S608
        *chosen,
        _ROWS_AT_ONCE,
    )
    await connection.execute(
        f"DELETE FROM stacks AS s WHERE {_EMPTY} AND id = ANY($3)",  # noqa: S608 - constants only
        *chosen,
        [row["id"] for row in rows],
    )
    return len(rows)

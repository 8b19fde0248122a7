"""Removes the events of stacks and projects that people asked to be deleted, in small steps like the purge.

Only events accepted before the request are removed: what arrives afterwards is new. A stack's row goes with
its last event; a worker that is just storing another one makes it again. A request is done once no
transaction that began before it can still store an event, and no post that was accepted before it is held.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg

from collector.database.owners.steps import ROWS_AT_ONCE, SETTLED, remove_events_of_a_day, run_in_steps
from collector.database.pool import connected
from collector.domain.ids import lowest_id

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
    """Remove rows for a bounded time and return how many; skips what another worker is removing."""
    async with connected(pool) as connection:
        await connection.execute("DELETE FROM removals WHERE done_utc < now() - $1::interval", _KEPT)
        rows = await connection.fetch(
            "SELECT id FROM removals WHERE done_utc IS NULL ORDER BY asked_utc LIMIT 1000"
        )
    return await run_in_steps(pool, [row["id"] for row in rows], _step)


async def _step(connection: asyncpg.Connection, removal_id: UUID) -> int:
    """Remove some events; the stacks without any once there are none left."""
    asked = await connection.fetchrow(
        "SELECT *, asked_utc < now() - $2::interval AS is_settled FROM removals"
        " WHERE id = $1 AND done_utc IS NULL FOR UPDATE SKIP LOCKED",
        removal_id,
        SETTLED,
    )
    if asked is None:
        return 0
    # Asked before looking for events: a held post goes after its events are stored.
    project_id, stack_id, before = asked["project_id"], asked["stack_id"], lowest_id(asked["asked_utc"])
    holds: bool = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM held_posts WHERE project_id = $1 AND id < $2)", project_id, before
    )
    removed = await remove_events_of_a_day(connection, project_id, before=before, stack_id=stack_id)
    if not removed:
        removed = await _remove_stacks(connection, project_id, stack_id)
    if not removed and asked["is_settled"] and not holds:
        await connection.execute("UPDATE removals SET done_utc = now() WHERE id = $1", removal_id)
    return removed


async def _remove_stacks(connection: asyncpg.Connection, project_id: UUID, stack_id: UUID | None) -> int:
    """Remove stacks that have no events, locking them in order of id as workers do; returns how many it saw.

    Two statements: the first one may wait for a worker that stores another event of a stack, and would still
    see none of it. Only the second one, with the locks held, sees what the worker has stored.
    """
    rows = await connection.fetch(
        f"SELECT id FROM stacks AS s WHERE {_EMPTY} ORDER BY id LIMIT $3 FOR UPDATE",  # noqa: S608
        project_id,
        stack_id,
        ROWS_AT_ONCE,
    )
    await connection.execute(
        f"DELETE FROM stacks AS s WHERE {_EMPTY} AND id = ANY($3)",  # noqa: S608 - constants only
        project_id,
        stack_id,
        [row["id"] for row in rows],
    )
    return len(rows)

"""What deleted projects left behind, removed in small steps, each a transaction that notes what it took.

As a rule nothing is deleted from partitions: they are dropped whole when retention has passed. Here it is,
because whoever deletes a project may expect its data to be gone, not hidden for a month. A step locks rows
in the order in which workers lock them, who may still be storing: nobody waits in a circle.
"""

import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg

from collector.database.pool import connected
from collector.domain.ids import DAY_MS, accepted_ms, lowest_id_at_ms

ROWS_AT_ONCE: Final = 5000
_RUN_SECONDS: Final = 20.0
"""Then other jobs have their turn; the next run goes on."""
_SETTLED: Final = timedelta(minutes=15)
"""Longer than a worker takes that began to store before the project was deleted."""

_PLAIN_TABLES: Final = {"stacks": "id", "sessions": "start_event_id", "user_descriptions": "id"}
"""And the key that their locks are sorted by."""
_OF_PROJECT: Final = "project_id = $1"
_BY_PURGE_INDEX: Final = "uuid_send(project_id) = uuid_send($1)"
"""As the tables have it whose index by project is for this alone."""
_CONDITIONS: Final = {"sessions": _BY_PURGE_INDEX, "user_descriptions": _BY_PURGE_INDEX}
_DELETE_SOME: Final = """
    DELETE FROM {table} WHERE project_id = $1 AND {key} = ANY(ARRAY(
        SELECT {key} FROM {table} WHERE project_id = $1 AND {key} = ANY(ARRAY(
            SELECT {key} FROM {table} WHERE {condition} LIMIT $2))
        ORDER BY {key} FOR UPDATE))
"""


async def purge_deleted(pool: asyncpg.Pool) -> int:
    """Remove for a while; answers how many rows. Another worker's project is left to that one."""
    began, removed = time.monotonic(), 0
    async with connected(pool) as connection:
        rows = await connection.fetch(
            "SELECT project_id FROM deleted_projects WHERE emptied_utc IS NULL ORDER BY deleted_utc"
        )
    for row in rows:
        while time.monotonic() - began < _RUN_SECONDS:
            async with connected(pool) as connection, connection.transaction():
                step = await _step(connection, row["project_id"])
            removed += step
            if not step:
                break
    return removed


async def _step(connection: asyncpg.Connection, project_id: UUID) -> int:
    """Remove some rows of the project, those of one table; where there are none it is done, once settled."""
    is_ours = await connection.fetchval(
        """
        SELECT true FROM deleted_projects d WHERE project_id = $1 AND emptied_utc IS NULL
        AND NOT EXISTS (SELECT FROM projects p WHERE p.id = d.project_id) FOR UPDATE OF d SKIP LOCKED
        """,
        project_id,
    )
    if not is_ours:
        return 0
    removed = await _remove_events(connection, project_id) or await _remove_letters(connection, project_id)
    for table, key in _PLAIN_TABLES.items():
        removed = removed or await _remove_from(connection, table, key, project_id)
    if not removed:
        await connection.execute(
            "UPDATE deleted_projects SET emptied_utc = now()"
            " WHERE project_id = $1 AND deleted_utc < now() - $2::interval",
            project_id,
            _SETTLED,
        )
    return removed


async def _remove_events(connection: asyncpg.Connection, project_id: UUID) -> int:
    """From one partition at a time."""
    first: UUID | None = await connection.fetchval(
        "SELECT id FROM events WHERE project_id = $1 LIMIT 1", project_id
    )
    if first is None:
        return 0
    day = accepted_ms(first.bytes) // DAY_MS
    bounds = lowest_id_at_ms(day * DAY_MS), lowest_id_at_ms((day + 1) * DAY_MS)
    removed = _number(
        await connection.execute(
            """
            DELETE FROM events WHERE project_id = $1 AND id >= $2 AND id < $3 AND id = ANY(ARRAY(
                SELECT id FROM events WHERE project_id = $1 AND id >= $2 AND id < $3 ORDER BY id LIMIT $4
                FOR UPDATE))
            """,
            project_id,
            *bounds,
            ROWS_AT_ONCE,
        )
    )
    await connection.execute(
        """
        INSERT INTO removed_events AS r (project_id, day, events) VALUES ($1, $2, $3)
        ON CONFLICT (project_id, day) DO UPDATE SET events = r.events + excluded.events
        """,
        project_id,
        datetime.fromtimestamp(day * DAY_MS / 1000, UTC).date(),
        removed,
    )
    return removed


async def _remove_letters(connection: asyncpg.Connection, project_id: UUID) -> int:
    rows = await connection.fetch(
        f"""
        {delete_some("dead_letters", "id")} RETURNING reason
        """,
        project_id,
        ROWS_AT_ONCE,
    )
    for reason, letters in sorted(Counter(row["reason"] for row in rows).items()):
        await connection.execute(
            """
            INSERT INTO removed_dead_letters AS r (project_id, reason, letters) VALUES ($1, $2, $3)
            ON CONFLICT (project_id, reason) DO UPDATE SET letters = r.letters + excluded.letters
            """,
            project_id,
            reason,
            letters,
        )
    return len(rows)


async def _remove_from(connection: asyncpg.Connection, table: str, key: str, project_id: UUID) -> int:
    return _number(await connection.execute(delete_some(table, key), project_id, ROWS_AT_ONCE))


def delete_some(table: str, key: str) -> str:
    """The statement that removes some rows of a project ($1), $2 at most, locked in the order of `key`."""
    return _DELETE_SOME.format(table=table, key=key, condition=_CONDITIONS.get(table, _OF_PROJECT))


def _number(status: str) -> int:
    """`DELETE 5000` -> 5000."""
    return int(status.rpartition(" ")[2])

"""Removes the data of deleted projects in small steps, each a transaction that records what it removed.

Partitions are normally dropped whole when retention has passed. Deleted projects are the exception: people
who delete a project expect its data to be gone, not hidden for a month. A step locks rows in the same order
as workers do, which may still be storing, so that they cannot deadlock.
"""

from collections import Counter
from typing import Final
from uuid import UUID

import asyncpg

from collector.database.owners.steps import ROWS_AT_ONCE, SETTLED, remove_events_of_a_day, run_in_steps
from collector.database.pool import connected

_LAST_ID: Final = UUID(int=(1 << 128) - 1)
_PLAIN_TABLES: Final = {"stacks": "id", "sessions": "start_event_id", "user_descriptions": "id"}
"""Tables whose rows are removed without a record, and the column that orders their locks."""
_OF_PROJECT: Final = "project_id = $1"
_BY_PURGE_INDEX: Final = "uuid_send(project_id) = uuid_send($1)"
"""Matches the expression of the index that exists only for purging."""
_CONDITIONS: Final = {"sessions": _BY_PURGE_INDEX, "user_descriptions": _BY_PURGE_INDEX}
_DELETE_SOME: Final = """
    DELETE FROM {table} WHERE project_id = $1 AND {key} = ANY(ARRAY(
        SELECT {key} FROM {table} WHERE project_id = $1 AND {key} = ANY(ARRAY(
            SELECT {key} FROM {table} WHERE {condition} LIMIT $2))
        ORDER BY {key} FOR UPDATE))
"""


async def purge_deleted(pool: asyncpg.Pool) -> int:
    """Remove rows for a bounded time and return how many; skips projects locked by another worker."""
    async with connected(pool) as connection:
        rows = await connection.fetch(
            "SELECT project_id FROM deleted_projects WHERE emptied_utc IS NULL ORDER BY deleted_utc"
        )
    return await run_in_steps(pool, [row["project_id"] for row in rows], _step)


async def _step(connection: asyncpg.Connection, project_id: UUID) -> int:
    """Remove some rows of the project from one table; marks it as emptied once there are none left."""
    is_ours = await connection.fetchval(
        """
        SELECT true FROM deleted_projects d WHERE project_id = $1 AND emptied_utc IS NULL
        AND NOT EXISTS (SELECT FROM projects p WHERE p.id = d.project_id) FOR UPDATE OF d SKIP LOCKED
        """,
        project_id,
    )
    if not is_ours:
        return 0
    # One table a step: as soon as one of them had rows, the others wait for the next step.
    removed = await remove_events_of_a_day(connection, project_id, before=_LAST_ID)
    if not removed:
        removed = await _remove_letters(connection, project_id)
    for table, key in _PLAIN_TABLES.items():
        if not removed:
            status = await connection.execute(delete_some(table, key), project_id, ROWS_AT_ONCE)
            removed = int(status.rpartition(" ")[2])  # the command tag: `DELETE 5000`
    # Not before a while has passed: a transaction that began before the deletion may still add rows.
    if not removed:
        await connection.execute("DELETE FROM dead_letter_totals WHERE project_id = $1", project_id)
        await connection.execute(
            "UPDATE deleted_projects SET emptied_utc = now()"
            " WHERE project_id = $1 AND deleted_utc < now() - $2::interval",
            project_id,
            SETTLED,
        )
    return removed


async def _remove_letters(connection: asyncpg.Connection, project_id: UUID) -> int:
    rows = await connection.fetch(
        f"{delete_some('dead_letters', 'id')} RETURNING reason", project_id, ROWS_AT_ONCE
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


def delete_some(table: str, key: str) -> str:
    """A statement that deletes up to $2 rows of project $1, locking them in the order of `key`."""
    return _DELETE_SOME.format(table=table, key=key, condition=_CONDITIONS.get(table, _OF_PROJECT))

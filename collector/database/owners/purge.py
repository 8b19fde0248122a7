"""Removes the data of deleted projects in small steps, each a transaction that records what it removed.

Partitions are normally dropped whole when retention has passed. Deleted projects are the exception: people
who delete a project expect its data to be gone, not hidden for a month. A step locks rows in the same order
as workers do, which may still be storing, so that they cannot deadlock.
"""

import time
from collections import Counter
from datetime import timedelta
from typing import Final
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
from collector.domain.ids import DAY_MS, accepted_ms, lowest_id_at_ms

ROWS_AT_ONCE: Final = 5000
_RUN_SECONDS: Final = 20.0
"""A run ends after this time, so that other jobs are not held up; the next run continues."""
_SETTLED: Final = timedelta(minutes=15)
"""Longer than any storing transaction that may have begun before the project was deleted."""

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
_REMOVE_EVENTS: Final = f"""
    DELETE FROM events WHERE project_id = $1 AND id >= $2 AND id < $3 AND id = ANY(ARRAY(
        SELECT id FROM events WHERE project_id = $1 AND id >= $2 AND id < $3 ORDER BY id LIMIT $4
        FOR UPDATE))
    RETURNING {", ".join(REMOVED_COLUMNS)}
"""  # noqa: S608 - constants only


async def purge_deleted(pool: asyncpg.Pool) -> int:
    """Remove rows for up to `_RUN_SECONDS` and return how many; skips projects locked by another worker."""
    began, removed = time.monotonic(), 0
    async with connected(pool) as connection:
        rows = await connection.fetch(
            "SELECT project_id FROM deleted_projects WHERE emptied_utc IS NULL ORDER BY deleted_utc"
        )
    for row in rows:
        while time.monotonic() - began < _RUN_SECONDS:
            # A transaction for each step: locks are short, and a crash loses one step at most.
            async with connected(pool) as connection, connection.transaction():
                step = await _step(connection, row["project_id"])
            removed += step
            if not step:
                break
    return removed


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
    removed = await _remove_events(connection, project_id) or await _remove_letters(connection, project_id)
    for table, key in _PLAIN_TABLES.items():
        if not removed:
            status = await connection.execute(delete_some(table, key), project_id, ROWS_AT_ONCE)
            removed = _row_count(status)
    # Not before a while has passed: a transaction that began before the deletion may still add rows.
    if not removed:
        await connection.execute("DELETE FROM dead_letter_totals WHERE project_id = $1", project_id)
        await connection.execute(
            "UPDATE deleted_projects SET emptied_utc = now()"
            " WHERE project_id = $1 AND deleted_utc < now() - $2::interval",
            project_id,
            _SETTLED,
        )
    return removed


async def _remove_events(connection: asyncpg.Connection, project_id: UUID) -> int:
    """Remove events of one daily partition and count them in `removed_events`, which the audit reads."""
    first: UUID | None = await connection.fetchval(
        "SELECT id FROM events WHERE project_id = $1 LIMIT 1", project_id
    )
    if first is None:
        return 0
    # Bounds on the ids keep the statement within one partition.
    day = accepted_ms(first.bytes) // DAY_MS
    bounds = lowest_id_at_ms(day * DAY_MS), lowest_id_at_ms((day + 1) * DAY_MS)
    await lock_days(connection, [day_of(first)])
    rows = await connection.fetch(_REMOVE_EVENTS, project_id, *bounds, ROWS_AT_ONCE)
    await subtract_events(connection, [RemovedEvent(**row) for row in rows])
    await connection.execute(
        """
        INSERT INTO removed_events AS r (project_id, day, events) VALUES ($1, $2, $3)
        ON CONFLICT (project_id, day) DO UPDATE SET events = r.events + excluded.events
        """,
        project_id,
        day_of(first),
        len(rows),
    )
    return len(rows)


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


def _row_count(status: str) -> int:
    """The number in a command tag: `DELETE 5000` -> 5000."""
    return int(status.rpartition(" ")[2])

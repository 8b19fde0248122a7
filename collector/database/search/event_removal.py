"""Deletes single events."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import asyncpg

from collector.database.schema.rollup_changes import lock_days
from collector.database.schema.rollups import REMOVED_COLUMNS, RemovedEvent, day_of, subtract_events

_FIND: Final = """
    SELECT id FROM events WHERE project_id = ANY($1) AND id = ANY($2) AND id >= $3 AND id <= $4
"""
_REMOVE: Final = f"""
    WITH named AS (
        SELECT project_id, id FROM events
        WHERE project_id = ANY($1) AND id = ANY($2) AND id >= $3 AND id <= $4
        ORDER BY project_id, id FOR UPDATE
    )
    DELETE FROM events AS e USING named
    WHERE e.project_id = named.project_id AND e.id = named.id AND e.id >= $3 AND e.id <= $4
    RETURNING {", ".join(f"e.{column}" for column in REMOVED_COLUMNS)}
"""  # noqa: S608 - constants only
"""Locks in order of id, to avoid deadlocks."""


async def remove_events(
    connection: asyncpg.Connection, project_ids: Sequence[UUID], event_ids: Sequence[UUID]
) -> set[UUID]:
    """Delete the events that belong to these projects, also from the rollups, and return their ids."""
    if not event_ids:
        return set()
    # The smallest and the largest id bound the partitions that are searched.
    async with connection.transaction():
        rows = await connection.fetch(_FIND, project_ids, event_ids, min(event_ids), max(event_ids))
        if not (found := [row["id"] for row in rows]):
            return set()
        await lock_days(connection, map(day_of, found))
        rows = await connection.fetch(_REMOVE, project_ids, found, min(found), max(found))
        removed = [RemovedEvent(**row) for row in rows]
        await subtract_events(connection, removed)
    return {event.id for event in removed}

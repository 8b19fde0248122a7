"""Events that people delete, one by one: noted with the removal, so that the account still adds up."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import asyncpg

_REMOVE: Final = """
    WITH gone AS (
        DELETE FROM events WHERE project_id = ANY($1) AND id = ANY($2) AND id >= $3 AND id <= $4
        RETURNING project_id, id
    ), noted AS (
        INSERT INTO removed_events AS r (project_id, day, events)
        SELECT project_id, to_timestamp(
                ('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint / 1000)::date AS day, count(*)
        FROM gone GROUP BY project_id, day ORDER BY project_id, day
        ON CONFLICT (project_id, day) DO UPDATE SET events = r.events + excluded.events
    )
    SELECT id FROM gone
"""
"""The day of acceptance is in the first 48 bits of an id."""


async def remove_events(
    connection: asyncpg.Connection, project_ids: Sequence[UUID], event_ids: Sequence[UUID]
) -> set[UUID]:
    """Delete those of the events that these projects have; answers their ids."""
    if not event_ids:
        return set()
    rows = await connection.fetch(_REMOVE, project_ids, event_ids, min(event_ids), max(event_ids))
    return {row["id"] for row in rows}

"""Deletes single events, and counts them in the same statement so that the ledger still balances."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import asyncpg

_REMOVE: Final = """
    WITH named AS (
        SELECT project_id, id FROM events
        WHERE project_id = ANY($1) AND id = ANY($2) AND id >= $3 AND id <= $4
        ORDER BY project_id, id FOR UPDATE
    ), gone AS (
        DELETE FROM events AS e USING named
        WHERE e.project_id = named.project_id AND e.id = named.id AND e.id >= $3 AND e.id <= $4
        RETURNING e.project_id, e.id
    ), noted AS (
        INSERT INTO removed_events AS r (project_id, day, events)
        SELECT project_id, to_timestamp(
                ('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint / 1000)::date AS day, count(*)
        FROM gone GROUP BY project_id, day ORDER BY project_id, day
        ON CONFLICT (project_id, day) DO UPDATE SET events = r.events + excluded.events
    )
    SELECT id FROM gone
"""
"""The first 48 bits of an id are the time of acceptance. Locks in order of id, to avoid deadlocks."""


async def remove_events(
    connection: asyncpg.Connection, project_ids: Sequence[UUID], event_ids: Sequence[UUID]
) -> set[UUID]:
    """Delete the events that belong to these projects, and return their ids."""
    if not event_ids:
        return set()
    # The smallest and the largest id bound the partitions that are searched.
    rows = await connection.fetch(_REMOVE, project_ids, event_ids, min(event_ids), max(event_ids))
    return {row["id"] for row in rows}

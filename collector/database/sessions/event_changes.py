"""Changes to events that are stored: only what the worker itself has to say of them later.

Never made in a storing transaction. Rows are locked in the order of their ids, so that two who change the
same events wait for each other but never in a circle.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final
from uuid import UUID

import asyncpg


@dataclass(frozen=True, slots=True)
class EventChange:
    """What is said of one event: `members` (JSON) go into its data after `dropped` was taken out of it.

    A `value` of None leaves the event's as it is.
    """

    project_id: bytes
    event_id: bytes
    members: bytes
    value: Decimal | None = None
    dropped: str | None = None


# One row each: joined with a list, the planner may read a partition from end to end.
_CHANGE: Final = """
    UPDATE events SET
        value = coalesce($4, value),
        data = CASE WHEN $5::text IS NULL THEN coalesce(data, '{}') ELSE coalesce(data, '{}') - $5 END || $3
    WHERE project_id = $1 AND id = $2
    RETURNING id
"""


async def change_events(connection: asyncpg.Connection, changes: Iterable[EventChange]) -> set[bytes]:
    """Make the changes, one at most to each event, and answer the ids of the events that are there."""
    rows = await connection.fetchmany(
        _CHANGE,
        [
            (UUID(bytes=each.project_id), UUID(bytes=each.event_id), each.members, each.value, each.dropped)
            for each in sorted(changes, key=_id)
        ],
    )
    return {row["id"].bytes for row in rows}


def _id(change: EventChange) -> tuple[bytes, bytes]:
    return change.project_id, change.event_id

"""Changes to stored events: what the worker itself learns about them later.

Never part of a storing transaction. Rows are locked in the order of their ids, so that two transactions that
change the same events cannot deadlock.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from operator import attrgetter
from typing import Final
from uuid import UUID

import asyncpg


@dataclass(frozen=True, slots=True)
class EventChange:
    """A change to one event: the member `dropped` leaves its data, then `members` (JSON) are merged into it.

    A `value` of None leaves the event's value as it is.
    """

    project_id: bytes
    event_id: bytes
    members: bytes
    value: Decimal | None = None
    dropped: str | None = None


# One row for each statement: joined with a list, the planner may scan a whole partition.
_CHANGE: Final = """
    UPDATE events SET
        value = coalesce($4, value),
        data = CASE WHEN $5::text IS NULL THEN coalesce(data, '{}') ELSE coalesce(data, '{}') - $5 END || $3
    WHERE project_id = $1 AND id = $2
    RETURNING id
"""


async def change_events(connection: asyncpg.Connection, changes: Iterable[EventChange]) -> set[bytes]:
    """Make the changes, at most one for each event, and return the ids of the events that exist."""
    rows = await connection.fetchmany(
        _CHANGE,
        [
            (UUID(bytes=each.project_id), UUID(bytes=each.event_id), each.members, each.value, each.dropped)
            for each in sorted(changes, key=attrgetter("project_id", "event_id"))
        ],
    )
    return {row["id"].bytes for row in rows}

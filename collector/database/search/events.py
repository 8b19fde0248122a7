"""Reads stored events by their ids."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple
from uuid import UUID

import asyncpg

EVENTS_PER_READ: Final = 10
"""Read with one `find_events_by_key`, to bound memory: a single event can be large."""


class EventKey(NamedTuple):
    """The primary key of an event."""

    project_id: UUID
    id: UUID


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """A row of `events`; `data` is JSON, and `date` is in UTC."""

    id: UUID
    project_id: UUID
    organization_id: UUID
    stack_id: UUID | None
    date: datetime
    created_utc: datetime
    count: int | None
    date_offset_minutes: int
    is_first_occurrence: bool
    reference_id: str | None
    type: str
    message: str | None
    source: str | None
    tags: tuple[str, ...]
    value: Decimal | None
    geo: str | None
    data: bytes | None


_COLUMNS: Final = ", ".join(StoredEvent.__slots__)
_QUALIFIED: Final = ", ".join(f"e.{column}" for column in StoredEvent.__slots__)


async def find_event(
    connection: asyncpg.Connection, project_ids: Sequence[UUID], event_id: UUID
) -> StoredEvent | None:
    """The event with this id, if it belongs to one of the projects."""
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM events WHERE project_id = ANY($1) AND id = $2",  # noqa: S608
        project_ids,
        event_id,
    )
    return None if row is None else _event(row)


async def find_events_by_key(connection: asyncpg.Connection, keys: Sequence[EventKey]) -> list[StoredEvent]:
    """The events with these keys, in any order, without those deleted meanwhile; `keys` must not be empty."""
    # The bounds on the ids let the planner skip partitions.
    rows = await connection.fetch(
        f"""
        SELECT {_QUALIFIED} FROM unnest($1::uuid[], $2::uuid[]) AS k (project_id, id)
        JOIN events AS e ON e.project_id = k.project_id AND e.id = k.id
            AND e.id >= $3 AND e.id <= $4
        """,  # noqa: S608 - constants only
        [key.project_id for key in keys],
        ids := [key.id for key in keys],
        min(ids),
        max(ids),
    )
    return [_event(row) for row in rows]


def _event(row: Any) -> StoredEvent:
    return StoredEvent(**{**row, "tags": tuple(row["tags"])})

"""Events, read back: by their id or by the reference id that the client gave them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple
from uuid import UUID

import asyncpg

from collector.database.windows import FIRST_ID, LAST_ID, widening_windows
from collector.domain.event import INVALID_REFERENCE_ID


class EventKey(NamedTuple):
    """Where an event is kept."""

    project_id: UUID
    id: UUID


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event as its row has it; `data` is JSON, and `date` is in UTC."""

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


_COLUMNS: Final = (
    "id, project_id, organization_id, stack_id, date, created_utc, count, date_offset_minutes,"
    " is_first_occurrence, reference_id, type, message, source, tags, value, geo, data"
)
_WHERE_REFERENCE: Final = "project_id = ANY($1) AND id >= $2 AND id < $3 AND reference_id = $4"
# The condition of the leaves' index, word for word: without it every leaf would be read from end to end.
_INDEXED: Final = " AND reference_id <> 'invalid-reference-id'"


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


async def find_by_reference(
    connection: asyncpg.Connection,
    project_ids: Sequence[UUID],
    reference_id: str,
    *,
    now: datetime,
    limit: int,
) -> list[EventKey]:
    """At most `limit` events with this reference id: newest leaves first, in them the latest date first.

    Their keys only, because a page deep down in a list needs few of them whole.
    """
    statement = (
        f"SELECT project_id, id FROM events WHERE {_where(reference_id)}"  # noqa: S608 - constants only
        " ORDER BY date DESC, id DESC LIMIT $5"
    )
    found: list[EventKey] = []
    for begin, end in widening_windows(now):
        rows = await connection.fetch(statement, project_ids, begin, end, reference_id, limit - len(found))
        found += [EventKey(*row) for row in rows]
        if len(found) >= limit:
            break
    return found


async def event_at(connection: asyncpg.Connection, key: EventKey) -> StoredEvent | None:
    """The event that is kept there; None when it is kept no longer."""
    return await find_event(connection, [key.project_id], key.id)


async def count_by_reference(
    connection: asyncpg.Connection, project_ids: Sequence[UUID], reference_id: str
) -> int:
    """How many events have this reference id."""
    number: int = await connection.fetchval(
        f"SELECT count(*) FROM events WHERE {_where(reference_id)}",  # noqa: S608 - constants only
        project_ids,
        FIRST_ID,
        LAST_ID,
        reference_id,
    )
    return number


def _where(reference_id: str) -> str:
    """What stands for all unusable references is in no index, and may stand in any number of events."""
    return _WHERE_REFERENCE if reference_id == INVALID_REFERENCE_ID else _WHERE_REFERENCE + _INDEXED


def _event(row: Any) -> StoredEvent:
    return StoredEvent(**{**row, "tags": tuple(row["tags"])})

"""Reads and changes stacks. `collector.database.writing.stack_writer` creates them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg
import msgspec

from collector.domain.event.stack import StackStatus

_decode_info = msgspec.json.Decoder(dict[str, str]).decode


@dataclass(frozen=True, slots=True)
class StoredStack:
    """A row of `stacks`."""

    id: UUID
    project_id: UUID
    organization_id: UUID
    type: str
    signature_hash: str
    signature_info: dict[str, str]
    title: str
    description: str | None
    status: StackStatus
    total_occurrences: int
    first_occurrence: datetime
    last_occurrence: datetime
    date_fixed: datetime | None
    fixed_in_version: str | None
    snooze_until_utc: datetime | None
    occurrences_are_critical: bool
    references: Sequence[str]
    tags: Sequence[str]
    created_utc: datetime
    updated_utc: datetime


_COLUMNS: Final = (
    "id, project_id, organization_id, type, signature_hash, signature_info, title, description, status,"
    " total_occurrences, first_occurrence, last_occurrence, date_fixed, fixed_in_version, snooze_until_utc,"
    ' occurrences_are_critical, "references", tags, created_utc, updated_utc'
)


async def find_stacks(connection: asyncpg.Connection, stack_ids: Sequence[UUID]) -> list[StoredStack]:
    """The stacks with these ids that exist, of any organization, by id."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM stacks WHERE id = ANY($1) ORDER BY id",  # noqa: S608 - constants only
        stack_ids,
    )
    return [
        StoredStack(
            **{
                **row,
                "signature_info": _decode_info(row["signature_info"]),
                "status": StackStatus(row["status"]),
            }
        )
        for row in rows
    ]


async def change_status(
    connection: asyncpg.Connection,
    stack_ids: Sequence[UUID],
    status: StackStatus,
    now: datetime,
    *,
    fixed_in_version: str | None = None,
    snooze_until_utc: datetime | None = None,
) -> dict[UUID, StackStatus]:
    """Set the status of stacks, with its version or snooze; clears what belonged to the old status.

    Returns the former status of those that it changed. Stacks that are in that state already stay untouched.
    Locks them in order of id, as workers do, to avoid deadlocks.
    """
    rows = await connection.fetch(
        """
        WITH locked AS MATERIALIZED (
            SELECT id, status FROM stacks WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE
        )
        UPDATE stacks SET
            status = $2,
            date_fixed = CASE WHEN $2 = 'fixed' THEN $3::timestamptz END,
            fixed_in_version = $4,
            snooze_until_utc = $5,
            updated_utc = $3
        FROM locked WHERE stacks.id = locked.id AND (
            stacks.status <> $2 OR stacks.fixed_in_version IS DISTINCT FROM $4
            OR stacks.snooze_until_utc IS DISTINCT FROM $5::timestamptz)
        RETURNING stacks.id, locked.status
        """,
        stack_ids,
        status,
        now,
        fixed_in_version,
        snooze_until_utc,
    )
    return {row["id"]: StackStatus(row["status"]) for row in rows}


async def mark_critical(
    connection: asyncpg.Connection, stack_ids: Sequence[UUID], now: datetime, *, is_critical: bool
) -> None:
    """Mark all occurrences of stacks as critical, or as not critical."""
    await connection.execute(
        """
        WITH locked AS MATERIALIZED (
            SELECT id FROM stacks WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE
        )
        UPDATE stacks SET occurrences_are_critical = $2, updated_utc = $3
        FROM locked WHERE stacks.id = locked.id AND stacks.occurrences_are_critical <> $2
        """,
        stack_ids,
        is_critical,
        now,
    )

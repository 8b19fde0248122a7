"""The links of a stack: to a ticket, a pull request, a chat."""

from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from collector.database.text import storable

LINKS_AT_MOST: Final = 50


async def add_link(connection: asyncpg.Connection, stack_id: UUID, link: str, now: datetime) -> bool:
    """Add a link behind the others, or move it there; False if there are `LINKS_AT_MOST` already."""
    status: str = await connection.execute(
        """
        UPDATE stacks SET updated_utc = $3, "references" = array_remove("references", $2) || $2::text
        WHERE id = $1 AND ($2 = ANY("references") OR cardinality("references") < $4)
        """,
        stack_id,
        storable(link),
        now,
        LINKS_AT_MOST,
    )
    return status.endswith(" 1")


async def remove_link(connection: asyncpg.Connection, stack_id: UUID, link: str, now: datetime) -> None:
    """Remove a link, if it is there."""
    await connection.execute(
        """
        UPDATE stacks SET "references" = array_remove("references", $2), updated_utc = $3
        WHERE id = $1 AND $2 = ANY("references")
        """,
        stack_id,
        storable(link),
        now,
    )

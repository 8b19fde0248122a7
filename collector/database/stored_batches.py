"""Stored batches: the ids of the post batches that have been stored, so that a replay repeats nothing."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Final
from uuid import UUID

import asyncpg

from collector.database.pool import connected

_CHUNK: Final = 10_000


async def remember(connection: asyncpg.Connection, batch_ids: Iterable[UUID]) -> set[UUID]:
    """Write the ids and answer those that were new.

    The first statement of a storing transaction: of two workers on one batch the second waits here for the
    first to commit and then does not get the id.
    """
    rows = await connection.fetch(
        """
        INSERT INTO stored_batches (batch_id) SELECT unnest($1::uuid[])
        ON CONFLICT DO NOTHING RETURNING batch_id
        """,
        sorted(set(batch_ids)),
    )
    return {row["batch_id"] for row in rows}


async def forget_stored_batches(pool: asyncpg.Pool, older_than: timedelta) -> int:
    """Delete the ids stored longer ago than that, by Postgres's clock, and answer how many.

    `older_than` must exceed the time that any claim, retry or spool can take.
    """
    forgotten = 0
    while True:
        async with connected(pool) as connection:
            rows = await connection.fetch(
                """
                DELETE FROM stored_batches WHERE batch_id IN
                    (SELECT batch_id FROM stored_batches WHERE stored_utc < now() - $1::interval LIMIT $2)
                RETURNING 1
                """,
                older_than,
                _CHUNK,
            )
        forgotten += len(rows)
        if len(rows) < _CHUNK:
            return forgotten

"""Stored batches: the ids of the post batches that have been stored, so that a replay repeats nothing.

Each is kept with the stream entry that it was stored from. The same id in another entry is a repeat: an
ingest process that never saw the reply wrote the batch again, and both entries were counted as accepted. Of a
batch that is too much for one transaction each part is remembered under its post's id, the batch itself with
the last one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import asyncpg

from collector.database.pool import connected
from collector.domain.event.outcome import NormalizedBatch
from collector.domain.ids import lowest_id

_CHUNK: Final = 10_000

# By the primary key, since ids begin with their time. What brin knows of a page that is used again is how old
# it was at first: by `stored_utc` alone all of the table would be read in the end.
FORGET: Final = """
    DELETE FROM stored_batches WHERE batch_id IN (
        SELECT batch_id FROM stored_batches WHERE batch_id < $3 AND stored_utc < now() - $1::interval
        ORDER BY batch_id LIMIT $2
    ) RETURNING 1
"""

_Entry = tuple[int, str]
"""Shard and entry id."""


@dataclass(frozen=True, slots=True)
class NewAndRepeated:
    """What batches turned out to be: to be stored, or repeats that are met for the first time."""

    new: list[NormalizedBatch] = field(default_factory=list)
    repeated: list[NormalizedBatch] = field(default_factory=list)


async def claim_batch_ids(
    connection: asyncpg.Connection, batches: Sequence[NormalizedBatch]
) -> NewAndRepeated:
    """Write the batches' ids; what is in neither list of the answer is a replay and counts nothing.

    The first statement of a storing transaction: of two workers on one batch the second waits here for the
    first to commit and then does not get the id.
    """
    first_of = {batch.id: batch for batch in reversed(batches)}
    ids = sorted(first_of)
    rows = await connection.fetch(
        """
        INSERT INTO stored_batches (batch_id, shard, entry_id)
        SELECT * FROM unnest($1::uuid[], $2::integer[], $3::text[])
        ON CONFLICT DO NOTHING RETURNING batch_id
        """,
        ids,
        [first_of[batch_id].shard for batch_id in ids],
        [first_of[batch_id].entry_id for batch_id in ids],
    )
    new_ids = {row["batch_id"] for row in rows}
    new = [first_of[batch_id] for batch_id in ids if batch_id in new_ids]
    if len(new) == len(batches):
        return NewAndRepeated(new)
    stored_now = {_entry(batch) for batch in new}
    met_again = {
        _entry(batch): batch for batch in batches if not batch.is_part and _entry(batch) not in stored_now
    }
    return NewAndRepeated(new, await _repeated(connection, met_again))


async def forget_stored_batches(pool: asyncpg.Pool, older_than: timedelta) -> int:
    """Delete the ids stored longer ago than that, by Postgres's clock, and answer how many.

    `older_than` must exceed the time that any claim, retry or spool can take.
    """
    forgotten = 0
    while True:
        async with connected(pool) as connection:
            now: datetime = await connection.fetchval("SELECT now()")
            rows = await connection.fetch(FORGET, older_than, _CHUNK, lowest_id(now - older_than))
        forgotten += len(rows)
        if len(rows) < _CHUNK:
            break
    async with connected(pool) as connection:
        await connection.execute(
            "DELETE FROM repeated_entries WHERE stored_utc < now() - $1::interval", older_than
        )
    return forgotten


def _entry(batch: NormalizedBatch) -> _Entry:
    return batch.shard, batch.entry_id


async def _repeated(
    connection: asyncpg.Connection, met_again: dict[_Entry, NormalizedBatch]
) -> list[NormalizedBatch]:
    """Of batches that were stored before, those in another entry than that one, each entry once for ever."""
    entries = sorted(met_again)
    rows = await connection.fetch(
        """
        INSERT INTO repeated_entries (shard, entry_id, batch_id)
        SELECT met.shard, met.entry_id, met.batch_id
        FROM unnest($1::integer[], $2::text[], $3::uuid[]) AS met (shard, entry_id, batch_id)
        JOIN stored_batches AS stored USING (batch_id)
        WHERE (stored.shard, stored.entry_id) <> (met.shard, met.entry_id)
        ORDER BY met.shard, met.entry_id
        ON CONFLICT DO NOTHING RETURNING shard, entry_id
        """,
        [shard for shard, _ in entries],
        [entry_id for _, entry_id in entries],
        [met_again[entry].id for entry in entries],
    )
    return [met_again[row["shard"], row["entry_id"]] for row in rows]

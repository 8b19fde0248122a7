"""Ids of the post batches that have been stored, so that a replayed batch is not stored again.

Each id is kept with the stream entry that it was stored from. The same id in another entry is a repeat: an
ingest process that never saw the reply appended the batch again, and both entries were counted as accepted.
A batch that is too large for one transaction is stored in parts: each part under its post's id, the last one
together with the batch's own id. Parts that come with the id of a batch that is stored are stored, too.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import asyncpg

from collector.database.forgetting import Aging, forget_old
from collector.database.pool import connected
from collector.domain.event.outcome import NormalizedBatch

# Along the primary key, since ids begin with their time. The BRIN index on `stored_utc` is not enough: a
# reused page keeps the summary of its old rows, so in the end the whole table would be read.
AGING: Final = Aging("stored_batches", "batch_id", "stored_utc")

_Entry = tuple[int, str]
"""Shard and entry id."""


@dataclass(frozen=True, slots=True)
class NewAndRepeated:
    """Batches to be stored, and repeats that are seen for the first time. All others are replays."""

    new: list[NormalizedBatch] = field(default_factory=list)
    repeated: list[NormalizedBatch] = field(default_factory=list)


async def claim_batch_ids(
    connection: asyncpg.Connection, batches: Sequence[NormalizedBatch]
) -> NewAndRepeated:
    """Insert the batches' ids. A batch in neither list of the result is a replay and is not counted.

    Must be the first statement of a storing transaction: when two workers store the same batch, the second
    waits here until the first has committed, and then does not get the id.
    """
    by_id = {batch.id: batch for batch in reversed(batches)}  # of two with the same id the first one counts
    ids = sorted(by_id)
    rows = await connection.fetch(
        """
        INSERT INTO stored_batches (batch_id, shard, entry_id)
        SELECT * FROM unnest($1::uuid[], $2::integer[], $3::text[])
        ON CONFLICT DO NOTHING RETURNING batch_id
        """,
        ids,
        [by_id[batch_id].shard for batch_id in ids],
        [by_id[batch_id].entry_id for batch_id in ids],
    )
    new_ids = {row["batch_id"] for row in rows}
    new = [by_id[batch_id] for batch_id in ids if batch_id in new_ids]
    if len(new) == len(batches):
        return NewAndRepeated(new)
    # The others were stored before: from the same entry (a replay) or from another one (a repeat).
    new_entries = {_entry(batch) for batch in new if not batch.is_part}
    known = {
        _entry(batch): batch for batch in batches if not batch.is_part and _entry(batch) not in new_entries
    }
    # A batch that was stored without being split has no ids of parts, but its parts are stored.
    new = [batch for batch in new if not (batch.is_part and _entry(batch) in known)]
    return NewAndRepeated(new, await _record_repeats(connection, known))


async def forget_stored_batches(pool: asyncpg.Pool, older_than: timedelta) -> int:
    """Delete the ids stored longer ago than that, by Postgres's clock, and return how many.

    `older_than` must exceed the time that any claim, retry or spool can take.
    """
    deleted = await forget_old(pool, AGING, older_than)
    async with connected(pool) as connection:
        await connection.execute(
            "DELETE FROM repeated_entries WHERE stored_utc < now() - $1::interval", older_than
        )
    return deleted


def _entry(batch: NormalizedBatch) -> _Entry:
    return batch.shard, batch.entry_id


async def _record_repeats(
    connection: asyncpg.Connection, known: dict[_Entry, NormalizedBatch]
) -> list[NormalizedBatch]:
    """Of batches whose id is stored, those that were stored from another entry; each entry only once ever."""
    entries = sorted(known)
    rows = await connection.fetch(
        """
        INSERT INTO repeated_entries (shard, entry_id, batch_id)
        SELECT seen.shard, seen.entry_id, seen.batch_id
        FROM unnest($1::integer[], $2::text[], $3::uuid[]) AS seen (shard, entry_id, batch_id)
        JOIN stored_batches AS stored USING (batch_id)
        WHERE (stored.shard, stored.entry_id) <> (seen.shard, seen.entry_id)
        ORDER BY seen.shard, seen.entry_id
        ON CONFLICT DO NOTHING RETURNING shard, entry_id
        """,
        [shard for shard, _ in entries],
        [entry_id for _, entry_id in entries],
        [known[entry].id for entry in entries],
    )
    return [known[row["shard"], row["entry_id"]] for row in rows]

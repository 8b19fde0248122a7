"""Reconciles the ledger of a restored database with the queue.

What was stored after the backup has left the queue and is lost; what a former queue accepted is unknown to a
new one. Each shard's difference is recorded, and the audit shows it.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import asyncpg

from collector.database.errors import translated


@dataclass(frozen=True, slots=True)
class ShardState:
    """A shard in Redis, read atomically: batches that have left its stream, and the entries in hand."""

    left: int
    in_hand: Sequence[str]


async def settle(
    connection: asyncpg.Connection, read_queue: Callable[[], Awaitable[Mapping[int, ShardState]]]
) -> int:
    """Record the differences; returns how many batches are lost. Nothing is stored meanwhile."""
    with translated():
        async with connection.transaction():
            # No worker commits from here on. Entries that were stored before are acknowledged, or in hand.
            await connection.execute("LOCK TABLE processed IN SHARE ROW EXCLUSIVE MODE")
            queue = await read_queue()
            found = await connection.fetch("SELECT shard, batches + repeated_batches AS known FROM processed")
            known: dict[int, int] = {row["shard"]: row["known"] for row in found}
            offsets: dict[int, int] = {}
            for shard in sorted({*known, *queue}):
                state = queue.get(shard, ShardState(0, ()))
                stored = await _count_stored(connection, shard, state.in_hand)
                offsets[shard] = state.left + stored - known.get(shard, 0)
            await connection.execute(
                "INSERT INTO processed"
                " (shard, batches, posts, events, repeated_batches, repeated_posts, restored_batches)"
                " SELECT shard, 0, 0, 0, 0, 0, missing FROM unnest($1::integer[], $2::bigint[])"
                " AS each (shard, missing)"
                " ON CONFLICT (shard) DO UPDATE SET restored_batches = excluded.restored_batches",
                list(offsets),
                list(offsets.values()),
            )
    return sum(offset for offset in offsets.values() if offset > 0)


async def _count_stored(connection: asyncpg.Connection, shard: int, entry_ids: Sequence[str]) -> int:
    """How many of these entries are stored: their worker has not acknowledged them yet."""
    if not entry_ids:
        return 0
    count: int = await connection.fetchval(
        "SELECT count(*) FROM (SELECT entry_id FROM stored_batches WHERE shard = $1 AND entry_id = ANY($2)"
        " UNION SELECT entry_id FROM repeated_entries WHERE shard = $1 AND entry_id = ANY($2)) AS each",
        shard,
        list(entry_ids),
    )
    return count

"""What the workers have finished, by shard: the other side of what ingest have counted as accepted."""

from collections import defaultdict
from collections.abc import Sequence

import asyncpg

from collector.database.writing.batch_ids import NewAndRepeated
from collector.domain.event.outcome import NormalizedBatch


async def count_processed(connection: asyncpg.Connection, remembered: NewAndRepeated) -> None:
    """Count batches, posts and events. Near the transaction's end and sorted: see `add_usage`."""
    counts: defaultdict[int, list[int]] = defaultdict(lambda: [0] * 5)
    for batch in remembered.new:
        whole = (0, 0) if batch.is_part else (1, batch.post_count)
        _add(counts[batch.shard], [*whole, _events_of(batch), 0, 0])
    for batch in remembered.repeated:
        _add(counts[batch.shard], [0, 0, 0, 1, batch.post_count])
    if not counts:
        return
    rows = [(shard, *counts[shard]) for shard in sorted(counts)]
    await connection.execute(
        """
        INSERT INTO processed AS p (shard, batches, posts, events, repeated_batches, repeated_posts)
        SELECT * FROM unnest(
            $1::integer[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])
        ON CONFLICT (shard) DO UPDATE SET
            batches = p.batches + excluded.batches,
            posts = p.posts + excluded.posts,
            events = p.events + excluded.events,
            repeated_batches = p.repeated_batches + excluded.repeated_batches,
            repeated_posts = p.repeated_posts + excluded.repeated_posts
        """,
        *(list(column) for column in zip(*rows, strict=True)),
    )


def _add(counts: list[int], numbers: Sequence[int]) -> None:
    counts[:] = [count + number for count, number in zip(counts, numbers, strict=True)]


def _events_of(batch: NormalizedBatch) -> int:
    """All that came out of the batch's posts."""
    return len(batch.events) + len(batch.dead_letters) + batch.discarded.total()

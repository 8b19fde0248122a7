"""Counts what workers have processed, by shard: the audit compares it with what ingest has accepted."""

from collections import Counter, defaultdict
from typing import Final

import asyncpg

from collector.database.writing.batch_ids import NewAndRepeated

_COLUMNS: Final = ("batches", "posts", "events", "repeated_batches", "repeated_posts")


async def count_processed(connection: asyncpg.Connection, claimed: NewAndRepeated) -> None:
    """Count batches, posts and events. Near the transaction's end and sorted by shard: see `add_usage`."""
    counts: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for batch in claimed.new:
        events = len(batch.events) + len(batch.dead_letters) + batch.discarded.total()
        counts[batch.shard].update(events=events)
        # Parts of a large batch count only their events; the batch and its posts are counted at the end.
        if not batch.is_part:
            counts[batch.shard].update(batches=1, posts=batch.post_count)
    for batch in claimed.repeated:
        counts[batch.shard].update(repeated_batches=1, repeated_posts=batch.post_count)
    if not counts:
        return
    rows = [(shard, *(counts[shard][name] for name in _COLUMNS)) for shard in sorted(counts)]
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

"""What is processed is counted once, by shard, in the transaction that stores it."""

from collections import Counter
from dataclasses import replace

import asyncpg
import pytest

from collector.database.writing.store import BatchStore
from collector.domain.event.outcome import Discard, DiscardReason
from tests.database.rows import PROJECT, a_letter, an_event, normalized, today

pytestmark = pytest.mark.integration


async def processed(pool: asyncpg.Pool) -> list[tuple[int, ...]]:
    """Shard, batches, posts, events, repeated batches, repeated posts."""
    columns = "shard, batches, posts, events, repeated_batches, repeated_posts"
    rows = await pool.fetch(f"SELECT {columns} FROM processed ORDER BY shard")  # noqa: S608 - constants
    return [tuple(row) for row in rows]


async def test_batches_posts_and_events_are_counted_by_shard(pool: asyncpg.Pool) -> None:
    """Events count whatever their outcome."""
    discarded = Counter({Discard(PROJECT, today(), DiscardReason.TOO_OLD): 3})
    event = an_event(reference_id="order-00001")
    batches = [
        normalized(event, an_event(reference_id="order-00001"), dead_letters=[a_letter()]),
        replace(normalized(discarded=discarded), post_count=7),
        replace(normalized(an_event()), shard=4),
        replace(normalized(an_event()), shard=1),
    ]

    await BatchStore(pool).save(batches)
    await BatchStore(pool).save([replace(normalized(), shard=4)])

    assert await processed(pool) == [(0, 2, 8, 6, 0, 0), (1, 1, 1, 1, 0, 0), (4, 2, 2, 1, 0, 0)]
    assert await pool.fetchval("SELECT sum(events)::int FROM usage") == 8


async def test_a_replay_counts_nothing_and_a_repeat_is_counted_apart(pool: asyncpg.Pool) -> None:
    """So that accepted equals processed plus repeated plus what is in the stream."""
    batch = replace(normalized(an_event()), post_count=5, entry_id="1-0")
    repeat = replace(batch, entry_id="2-0")
    store = BatchStore(pool)

    for batches in ([batch], [batch], [repeat], [repeat, batch]):
        await store.save(batches)

    assert await processed(pool) == [(0, 1, 5, 1, 1, 5)]


async def test_a_batch_in_parts_counts_as_one(pool: asyncpg.Pool) -> None:
    """Its events count with each part, the batch and its posts with the last; a repeat counts once."""
    parts = [replace(normalized(an_event(), an_event()), is_part=True, entry_id="1-0") for _ in range(3)]
    whole = replace(normalized(), post_count=3, entry_id="1-0")
    store = BatchStore(pool)

    await store.save(parts[:2])
    assert await processed(pool) == [(0, 0, 0, 4, 0, 0)]
    for batches in (parts[1:], [*parts, whole], [whole]):
        await store.save(batches)
    assert await processed(pool) == [(0, 1, 3, 6, 0, 0)]
    for _ in range(2):
        await store.save([replace(batch, entry_id="2-0") for batch in [*parts, whole]])
    assert await processed(pool) == [(0, 1, 3, 6, 1, 3)]

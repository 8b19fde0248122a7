"""Reads what ingest counted as accepted and what is in the stream, atomically for each shard."""

from collections.abc import Mapping
from typing import Final

from redis import exceptions
from redis.asyncio import Redis

from collector.broker.errors import translated
from collector.broker.keys import GROUP, MOST_STREAMS, RedisKeys
from collector.broker.queue.shards import pending_entries, stream_lengths
from collector.domain.accounting.ledger import ShardQueue

_IN_HAND_AT_MOST: Final = 100_000


async def read_shards(redis: Redis, keys: RedisKeys) -> tuple[ShardQueue, ...]:
    """The state of every stream that was ever written to, by its number. Raises BrokerUnavailable."""
    lengths = await stream_lengths(redis, keys)
    with translated():
        async with redis.pipeline(transaction=False) as pipeline:
            for shard in range(MOST_STREAMS):
                pipeline.exists(keys.accepted(shard))
            counted = await pipeline.execute()
    used = [shard for shard in range(MOST_STREAMS) if lengths[shard] or counted[shard]]
    return tuple([await _read_shard(redis, keys, shard) for shard in used])


async def is_empty(redis: Redis, keys: RedisKeys) -> bool:
    """Whether no stream holds an entry. Raises BrokerUnavailable."""
    return not any(await stream_lengths(redis, keys))


async def read_in_hand(redis: Redis, keys: RedisKeys, shard: int) -> tuple[int, list[str]]:
    """How many batches have left a stream, and the ids of its entries in hand, read atomically.

    Workers hold some hundred entries at most. Raises BrokerUnavailable.
    """
    with translated():
        async with redis.pipeline(transaction=True) as pipeline:
            pipeline.hget(keys.accepted(shard), "batches")
            pipeline.xlen(keys.stream(shard))
            pipeline.xpending_range(keys.stream(shard), GROUP, "-", "+", _IN_HAND_AT_MOST)
            batches, length, pending = await pipeline.execute(raise_on_error=False)
    if isinstance(pending, exceptions.ResponseError):  # no stream, or no consumer group yet
        pending = []
    for reply in (batches, length, pending):
        if isinstance(reply, Exception):
            raise reply
    ids = [each["message_id"] for each in pending]
    return int(batches or 0) - int(length), [id_.decode() if isinstance(id_, bytes) else id_ for id_ in ids]


async def _read_shard(redis: Redis, keys: RedisKeys, shard: int) -> ShardQueue:
    with translated():
        async with redis.pipeline(transaction=True) as pipeline:
            pipeline.hgetall(keys.accepted(shard))
            pipeline.xlen(keys.stream(shard))
            pipeline.xinfo_groups(keys.stream(shard))
            counts, length, groups = await pipeline.execute(raise_on_error=False)
        for reply in (counts, length):
            if isinstance(reply, exceptions.RedisError):
                raise reply
        pending = pending_entries(groups)
    return ShardQueue(
        shard,
        batches=_count(counts, b"batches"),
        posts=_count(counts, b"posts"),
        bytes=_count(counts, b"bytes"),
        length=int(length),
        pending=pending,
    )


def _count(counts: Mapping[bytes, bytes], name: bytes) -> int:
    return int(counts.get(name, 0))

"""The operators' commands for the number of shards."""

import msgspec

from collector.admin.queue import Queue
from collector.broker.queue.shards import set_shards, stored_number
from collector.broker.queue.stream_ledger import read_shards
from collector.process.lifecycle import StartError
from collector.process.settings import MOST_SHARDS


class StreamView(msgspec.Struct, frozen=True):
    """A stream: batches ever written to it, entries it holds now, and how many of them a worker has read."""

    shard: int
    accepted_batches: int
    entries: int
    in_hand: int


class ShardsView(msgspec.Struct, frozen=True):
    """`shards` is None before the first start; `streams` holds every stream that was ever used."""

    shards: int | None
    streams: list[StreamView]


async def show(queue: Queue) -> ShardsView:
    """The number of shards, and the content of the streams. Raises BrokerUnavailable."""
    found = await read_shards(queue.redis, queue.keys)
    return ShardsView(
        await stored_number(queue.redis, queue.keys),
        [StreamView(stream.shard, stream.batches, stream.length, stream.pending) for stream in found],
    )


async def change(queue: Queue, number: int) -> ShardsView:
    """Change the number of shards. Raises StartError for too many, BrokerUnavailable and BrokerFull."""
    if number > MOST_SHARDS:
        raise StartError(f"there can be {MOST_SHARDS} shards at most.")
    await set_shards(queue.redis, queue.keys, number)
    return await show(queue)

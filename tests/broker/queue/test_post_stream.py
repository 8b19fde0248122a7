"""The streams on a real server: nothing is lost, nothing is left over, and server errors become ours."""

from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from collector.broker.connection import connect
from collector.broker.errors import BrokerFull, BrokerUnavailable
from collector.broker.keys import GROUP, RedisKeys
from collector.broker.queue import post_batch
from collector.broker.queue.post_stream import PostStream
from collector.broker.queue.shards import Shards
from collector.embedded.servers.valkey import Valkey
from collector.embedded.service import start_service
from tests.support.factories import a_batch, a_post

pytestmark = pytest.mark.integration


@pytest.fixture
async def stream(redis: Redis, keys: RedisKeys) -> PostStream:
    """Two shards with their groups."""
    made = PostStream(redis, keys, Shards(redis, keys, 2))
    await made.ensure_group()
    return made


async def test_a_batch_is_read_once_and_deleted_when_acknowledged(
    stream: PostStream, redis: Redis, keys: RedisKeys
) -> None:
    """The stream holds only what is not stored yet."""
    batch = a_batch(a_post(), a_post())
    await stream.append(1, batch)

    entries = await stream.read("worker", 10, 100)
    assert [(entry.shard, entry.unpacked().batch) for entry in entries] == [(1, batch)]
    assert await stream.read("worker", 10, 1) == []
    await stream.acknowledge(entries)
    await stream.acknowledge(entries)

    assert await redis.xlen(keys.stream(1)) == 0
    assert await redis.xpending(keys.stream(1), GROUP) == {
        "pending": 0,
        "min": None,
        "max": None,
        "consumers": [],
    }


async def test_appending_counts_in_the_same_step(stream: PostStream, redis: Redis, keys: RedisKeys) -> None:
    """So the ledger starts where the promise starts."""
    await stream.append(0, a_batch(a_post(body=b"12345"), a_post(body=b"123")))
    await stream.append(0, a_batch(a_post(body=b"1")))

    counts = await redis.hgetall(keys.accepted(0))
    assert int(counts.pop(b"memory")) > 0
    assert counts == {b"batches": b"2", b"posts": b"3", b"bytes": b"9"}


async def test_a_script_that_a_restarted_server_lost_is_loaded_again(
    stream: PostStream, redis: Redis, keys: RedisKeys
) -> None:
    await redis.script_flush()

    await stream.append(0, a_batch())
    await stream.append(0, a_batch())

    assert await redis.xlen(keys.stream(0)) == 2


async def test_entries_of_a_silent_consumer_can_be_claimed(stream: PostStream) -> None:
    """What a killed worker was processing goes to another one, but only after a time."""
    batch = a_batch()
    await stream.append(0, batch)
    await stream.read("killed", 10, 100)

    assert await stream.claim("other", 60_000, 10) == []
    claimed = await stream.claim("other", 0, 10)

    assert [entry.unpacked().batch for entry in claimed] == [batch]


async def test_claiming_a_deleted_entry_gives_nothing(
    stream: PostStream, redis: Redis, keys: RedisKeys
) -> None:
    """Instead of an empty batch."""
    await stream.append(0, a_batch())
    entries = await stream.read("killed", 10, 100)
    await redis.xdel(keys.stream(0), entries[0].id)

    assert await stream.claim("other", 0, 10) == []
    assert (await stream.backlog())[0].pending == 0


async def test_a_foreign_entry_is_read_with_its_bytes(
    stream: PostStream, redis: Redis, keys: RedisKeys
) -> None:
    """So that it can be dead-lettered."""
    await redis.xadd(keys.stream(0), {"what": "ever"})

    [entry] = [each.unpacked() for each in await stream.read("worker", 10, 100)]

    assert entry.batch is None
    assert b"ever" in entry.raw
    assert entry.problem


async def test_only_idle_consumers_that_hold_nothing_are_removed(
    stream: PostStream, redis: Redis, keys: RedisKeys
) -> None:
    """Removing one that holds entries would lose them."""
    await stream.append(0, a_batch())
    await stream.read("holder", 1, 100)
    await stream.read("empty", 1, 1)

    assert await stream.remove_dead_consumers(60_000) == 0
    removed = await stream.remove_dead_consumers(-1)

    consumers = await redis.xinfo_consumers(keys.stream(0), GROUP)
    assert removed == 3  # "empty" on both shards, "holder" on the one where it holds nothing
    assert [consumer["name"] for consumer in consumers] == [b"holder"]


async def test_a_lost_group_is_created_again(stream: PostStream, redis: Redis, keys: RedisKeys) -> None:
    """A replaced server needs no restart of the worker."""
    await redis.delete(keys.stream(0), keys.stream(1))
    assert await stream.read("worker", 1, 1) == []
    await stream.append(0, a_batch())

    assert len(await stream.read("worker", 1, 100)) == 1


async def test_the_backlog_separates_unread_from_pending(stream: PostStream) -> None:
    """For operators."""
    for _ in range(3):
        await stream.append(0, a_batch())
    await stream.read("worker", 1, 100)

    waiting = (await stream.backlog())[0]
    assert (waiting.length, waiting.lag, waiting.pending) == (3, 2, 1)


async def test_an_unreachable_server_raises_our_error() -> None:
    gone = connect("redis://127.0.0.1:1/0", socket_timeout_seconds=1)
    keys = RedisKeys("gone:")
    stream = PostStream(gone, keys, Shards(gone, keys))

    with pytest.raises(BrokerUnavailable):
        await stream.append(0, a_batch())
    with pytest.raises(BrokerUnavailable):
        await stream.read("worker", 1, 1)
    await gone.aclose()


async def test_streams_are_read_in_turn(stream: PostStream) -> None:
    """A full stream does not delay the others, wherever a read begins."""
    for shard in (0, 0, 0, 1):
        await stream.append(shard, a_batch())

    shards = [entry.shard for entry in await stream.read("worker", 3, 1)]

    assert sorted(shards) == [0, 0, 1]


async def test_an_entry_without_a_stated_size_counts_as_large(
    stream: PostStream, redis: Redis, keys: RedisKeys
) -> None:
    """Entries of an earlier version are therefore read a few at a time."""
    fields: dict[Any, Any] = {**post_batch.encode(a_batch())}
    del fields[b"u"]
    for _ in range(2):
        await redis.xadd(keys.stream(0), fields)

    assert len(await stream.read("worker", 10, 1, 1000)) == 1


async def test_a_kept_entry_is_not_idle(stream: PostStream, redis: Redis, keys: RedisKeys) -> None:
    """It is not delivered again, and what another worker has claimed stays there."""
    for _ in range(2):
        await stream.append(1, a_batch())
    first, second = await stream.read("slow", 10, 1)
    for name, entry in (("slow", first), ("quick", second)):
        await redis.xclaim(keys.stream(1), GROUP, name, 0, [entry.id], idle=60_000, justid=True)

    await stream.keep("slow", [(1, first.id), (1, second.id), (1, "1-1")])

    assert [entry.id for entry in await stream.claim("other", 30_000, 10)] == [second.id]
    [kept, _] = await redis.xpending_range(keys.stream(1), GROUP, "-", "+", 10)
    assert (kept["consumer"], kept["times_delivered"]) == (b"slow", 1)


async def test_a_full_server_lets_workers_continue(tmp_path: Path) -> None:
    """Their commands free memory."""
    valkey = Valkey(tmp_path)
    child = await start_service(valkey)
    try:
        async with Redis.from_url(valkey.url) as redis:
            stream = PostStream(redis, RedisKeys(), Shards(redis, RedisKeys(), 1))
            await stream.ensure_group()
            await stream.append(0, a_batch())
            await redis.config_set("maxmemory", "1")
            with pytest.raises(BrokerFull):
                await stream.append(0, a_batch())

            entries = await stream.read("one", 10, 1)
            await stream.keep("one", [(entry.shard, entry.id) for entry in entries])
            assert await stream.claim("two", 0, 10) == entries
            await stream.acknowledge(entries)

            assert await redis.xlen(RedisKeys().stream(0)) == 0
    finally:
        await child.stop()

"""The number of shards on a real server: the first start decides, all follow, no stream is overlooked."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from collector.broker.connection import connect
from collector.broker.errors import BrokerFull, BrokerUnavailable
from collector.broker.keys import GROUP, RedisKeys, stream_number
from collector.broker.queue.post_stream import PostStream
from collector.broker.queue.queue_load import queue_load
from collector.broker.queue.shards import Shards, set_shards, stored_number
from tests.support.factories import a_batch, a_post

pytestmark = pytest.mark.integration


async def _followed(redis: Redis, keys: RedisKeys, setting: int | None = None) -> Shards:
    shards = Shards(redis, keys, setting)
    await shards.follow()
    return shards


async def test_the_first_process_stores_its_setting(redis: Redis, keys: RedisKeys) -> None:
    shards = await _followed(redis, keys, 4)

    assert (shards.number, shards.in_use) == (4, [0, 1, 2, 3])
    assert await stored_number(redis, keys) == 4


async def test_later_settings_are_only_compared(redis: Redis, keys: RedisKeys) -> None:
    """One line names both values and how to change the stored one, which applies."""
    await _followed(redis, keys, 1)
    with capture_logs() as lines:
        shards = await _followed(redis, keys, 4)
        await shards.follow()

    assert shards.number == 1
    (line,) = [line["event"] for line in lines if line["log_level"] == "warning"]
    assert line == (
        "HEADRACE_SHARDS is 4 here, but 1 is stored in Redis and counts; `headrace shards set 4` changes it"
    )


async def test_a_process_without_the_setting_logs_nothing(redis: Redis, keys: RedisKeys) -> None:
    """There is nothing that could differ."""
    await _followed(redis, keys, 4)
    with capture_logs() as lines:
        shards = await _followed(redis, keys)

    assert shards.number == 4
    assert not [line for line in lines if line["log_level"] == "warning"]


async def test_consumer_groups_exist_before_a_raised_number_is_followed(
    redis: Redis, keys: RedisKeys
) -> None:
    """An entry in a stream without a group could not be read while the queue is full."""
    shards = await _followed(redis, keys, 1)

    await set_shards(redis, keys, 3)
    groups = [await redis.xinfo_groups(keys.stream(shard)) for shard in range(3)]
    await shards.follow()

    assert [len(found) for found in groups] == [1, 1, 1]
    assert shards.in_use == [0, 1, 2]


async def test_streams_above_a_lowered_number_are_read_until_they_are_empty(
    redis: Redis, keys: RedisKeys
) -> None:
    shards = await _followed(redis, keys, 3)
    stream = PostStream(redis, keys, shards)
    await stream.append(2, a_batch())
    await set_shards(redis, keys, 1)
    await shards.follow()
    await shards.find()
    before = shards.in_use

    entries = await stream.read("worker", 10, 1)
    await shards.find()
    in_hand = shards.in_use
    await stream.acknowledge(entries)
    await shards.find()

    assert (before, in_hand, shards.in_use) == ([0, 2], [0, 2], [0])


async def test_an_entry_above_the_number_is_found(redis: Redis, keys: RedisKeys) -> None:
    """Of an ingest process that has not followed yet, or of an earlier version, even without a group."""
    shards = await _followed(redis, keys, 1)
    stream = PostStream(redis, keys, shards)
    await stream.append(255, a_batch())
    assert await stream.read("worker", 10, 1) == []

    await shards.find()

    assert [entry.shard for entry in await stream.read("worker", 10, 1)] == [255]


async def test_a_replaced_server_gets_the_number_that_was_followed(redis: Redis, keys: RedisKeys) -> None:
    """Not the setting of whichever process looks first."""
    shards = await _followed(redis, keys, 1)
    await set_shards(redis, keys, 2)
    await shards.follow()
    await redis.delete(keys.settings)

    await shards.follow()

    assert (shards.number, await stored_number(redis, keys)) == (2, 2)


@pytest.mark.parametrize("stored", ["0", "257", "many", ""])
async def test_an_invalid_number_of_shards_is_not_followed(
    redis: Redis, keys: RedisKeys, stored: str
) -> None:
    """It was written by hand."""
    shards = await _followed(redis, keys, 2)
    await redis.hset(keys.settings, "shards", stored)

    await shards.follow()

    assert shards.number == 2


@asynccontextmanager
async def _full(url: str) -> AsyncIterator[None]:
    async with Redis.from_url(url) as admin:
        limit = str((await admin.config_get("maxmemory"))["maxmemory"])
        await admin.config_set("maxmemory", "1mb")
        try:
            yield
        finally:
            await admin.config_set("maxmemory", limit)


async def test_a_full_queue_keeps_its_number_and_is_emptied(
    redis: Redis, keys: RedisKeys, redis_url: str
) -> None:
    """A worker that starts then reads the streams with a group; a new stream waits for memory."""
    old = await _followed(redis, keys, 2)
    await PostStream(redis, keys, old).append(1, a_batch())
    await PostStream(redis, keys, old).append(7, a_batch())
    await redis.hset(keys.settings, "shards", "4")
    starting = Shards(redis, keys)
    stream = PostStream(redis, keys, starting)

    async with _full(redis_url):
        with pytest.raises(BrokerFull):
            await old.follow()
        with pytest.raises(BrokerFull):
            await stream.ensure_group()
        read = await stream.read("worker", 10, 1)

    assert old.number == 2
    assert starting.in_use == [0, 1]
    assert [entry.shard for entry in read] == [1]
    await stream.ensure_group()
    assert starting.in_use == [0, 1, 2, 3, 7]


async def test_a_worker_reads_a_full_queue_without_a_stored_number(
    redis: Redis, keys: RedisKeys, redis_url: str
) -> None:
    """After an upgrade with a full queue nothing can be written, and the old streams must be drained."""
    await redis.xgroup_create(keys.stream(3), GROUP, id="0", mkstream=True)
    shards = Shards(redis, keys, 1)
    stream = PostStream(redis, keys, shards)
    await stream.append(3, a_batch())

    async with _full(redis_url):
        with pytest.raises(BrokerFull):
            await stream.ensure_group()
        assert [entry.shard for entry in await stream.read("worker", 10, 1)] == [3]


async def test_the_load_counts_the_streams_in_use(redis: Redis, keys: RedisKeys) -> None:
    """Entries of all streams, those above the number too, and all entries ever appended."""
    shards = await _followed(redis, keys, 2)
    stream = PostStream(redis, keys, shards)
    for _ in range(3):
        await stream.append(1, a_batch())
    await set_shards(redis, keys, 1)
    await shards.follow()
    await stream.acknowledge((await stream.read("worker", 10, 1))[:1])

    load = await queue_load(redis, keys, shards.in_use)

    assert (load.entries, load.added, load.drained) == (2, 3, 1)


async def test_the_queue_load_counts_the_memory_of_posts_and_nothing_else(
    redis: Redis, keys: RedisKeys
) -> None:
    """Until they are acknowledged, once each; not what else lives in Redis."""
    shards = await _followed(redis, keys)
    stream, later = PostStream(redis, keys, shards), PostStream(redis, keys, shards, lane=1)
    await redis.hset(keys.projects, "settings", "x" * 1_000_000)
    body = os.urandom(100_000)
    for number in (0, 0, stream_number(1, 0)):
        await stream.append(number, a_batch(a_post(body=body)))

    loads = [await queue_load(redis, keys, shards.in_use)]
    entries = await stream.read("worker", 10, 1)
    for acknowledged in (entries[:1], entries[:1], entries, await later.read("worker", 10, 1)):
        await later.acknowledge([entry.unpacked() for entry in acknowledged])
        loads.append(await queue_load(redis, keys, shards.in_use))

    sizes = [round(load.used_bytes / 100_000) for load in loads]
    assert sizes == [4, 3, 3, 1, 0]
    assert loads[0].server_bytes > loads[0].used_bytes + 1_000_000


async def test_an_estimate_of_memory_is_not_below_what_redis_uses(redis: Redis, keys: RedisKeys) -> None:
    """Or the server would be full before the queue is."""
    shards = await _followed(redis, keys)
    stream = PostStream(redis, keys, shards)
    for size in (10, 100, 1_000, 5_000, 40_000, 300_000):
        for _ in range(min(500, 200_000 // size + 1)):
            await stream.append(0, a_batch(a_post(body=os.urandom(size))))

    used = (await queue_load(redis, keys, shards.in_use)).used_bytes

    assert used * 0.3 < (await redis.memory_usage(keys.stream(0), samples=0) or 0) < used * 1.05


async def test_an_unreachable_server_is_broker_unavailable() -> None:
    """The number stays a valid one."""
    gone = connect("redis://127.0.0.1:1/0", socket_timeout_seconds=1)
    shards = Shards(gone, RedisKeys("gone:"), 4)

    with pytest.raises(BrokerUnavailable):
        await shards.follow()
    with pytest.raises(BrokerUnavailable):
        await shards.find()

    assert shards.number == 1
    await gone.aclose()

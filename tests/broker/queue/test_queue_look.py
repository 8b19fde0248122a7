"""Reading the streams without changing them."""

import secrets

import pytest
from redis.asyncio import Redis

from collector.broker.keys import RedisKeys
from collector.broker.queue.post_stream import PostStream
from collector.broker.queue.queue_look import QueueLook, WaitingEntry
from collector.broker.queue.shards import Shards
from tests.support.factories import a_batch, a_post

pytestmark = pytest.mark.integration


@pytest.fixture
async def stream(redis: Redis, keys: RedisKeys) -> PostStream:
    """Two shards without streams yet."""
    return PostStream(redis, keys, Shards(redis, keys, 2))


async def seen(look: QueueLook) -> list[WaitingEntry]:
    """All entries."""
    return [entry async for entry in look.entries()]


async def test_entries_are_listed_in_order_with_the_number_before_them(
    redis: Redis, keys: RedisKeys, stream: PostStream
) -> None:
    """In every shard, whether delivered or not."""
    look = QueueLook(redis, keys)
    await stream.ensure_group()
    for shard in (0, 0, 0, 1):
        await stream.append(shard, a_batch(a_post()))
    given = [*await stream.read("worker-1", 1, 1), *await stream.read("worker-1", 1, 1)]
    await stream.append(1, a_batch(a_post()))

    entries = await seen(look)

    assert [(entry.shard, entry.before, entry.is_in_hand) for entry in entries] == [
        (0, 0, True),
        (0, 1, False),
        (0, 2, False),
        (1, 0, True),
        (1, 1, False),
    ]
    assert {entry.id for entry in entries if entry.is_in_hand} == {entry.id for entry in given}
    assert all(entry.batch is not None for entry in entries)
    assert await look.length() == 5
    assert len(await look.oldest()) == 2


async def test_workers_are_those_that_read_lately(redis: Redis, keys: RedisKeys, stream: PostStream) -> None:
    look = QueueLook(redis, keys)
    assert await look.workers() == 0
    await stream.ensure_group()
    for name in ("worker-1", "worker-2", "worker-1"):
        await stream.read(name, 1, 1)

    assert await look.workers() == 2


async def test_workers_are_unknown_where_our_user_may_not_ask(
    redis: Redis, redis_url: str, keys: RedisKeys, stream: PostStream
) -> None:
    await stream.ensure_group()
    name = f"narrow-{secrets.token_hex(4)}"
    await redis.acl_setuser(name, enabled=True, nopass=True, keys=["*"], commands=["+@all", "-xinfo"])
    narrow = Redis.from_url(redis_url, username=name, password="")
    try:
        assert await QueueLook(narrow, keys).workers() is None
    finally:
        await narrow.aclose()
        await redis.acl_deluser(name)


async def test_the_consumer_of_an_entry_is_known(redis: Redis, keys: RedisKeys, stream: PostStream) -> None:
    """And how often it was delivered. A waiting entry has no consumer."""
    look = QueueLook(redis, keys)
    await stream.append(0, a_batch(a_post()))
    (waiting,) = await seen(look)
    assert await look.delivery(0, waiting.id) is None

    await stream.ensure_group()
    await stream.read("worker-1", 10, 1)
    await stream.claim("worker-2", 0, 10)

    delivery = await look.delivery(0, waiting.id)
    assert delivery is not None
    assert (delivery.consumer, delivery.deliveries) == ("worker-2", 2)


async def test_reading_changes_nothing(redis: Redis, keys: RedisKeys, stream: PostStream) -> None:
    """Neither waiting nor pending entries; no group or stream is created."""
    look = QueueLook(redis, keys)
    assert await seen(look) == []
    assert await look.oldest() == []
    assert not await redis.exists(keys.stream(0))

    await stream.append(0, a_batch(a_post()))
    await seen(look)

    assert await redis.xlen(keys.stream(0)) == 1
    assert await redis.xinfo_groups(keys.stream(0)) == []


async def test_many_entries_are_read_in_chunks(
    redis: Redis, keys: RedisKeys, stream: PostStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sized by the largest entry so far; none is left out."""
    monkeypatch.setattr("collector.broker.queue.queue_look._PAGE_BYTES", 2000)
    for number in range(30):
        await stream.append(0, a_batch(a_post(body=b'{"message":"%d"}' % number * (1 + number % 7))))

    entries = await seen(QueueLook(redis, keys))

    assert [entry.before for entry in entries] == list(range(30))
    assert len({entry.id for entry in entries}) == 30


async def test_an_unreadable_entry_is_listed_without_its_posts(redis: Redis, keys: RedisKeys) -> None:
    """It may come from a later version."""
    await redis.xadd(keys.stream(0), {b"v": b"99", b"b": b"?"})

    (entry,) = await seen(QueueLook(redis, keys))

    assert entry.batch is None

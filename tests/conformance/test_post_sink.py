"""What every sink of post batches does: the fake that unit tests use, and the stream on a real server."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest

from collector.broker.connection import connect
from collector.broker.errors import BrokerUnavailable
from collector.broker.keys import RedisKeys
from collector.broker.queue.post_stream import PostStream
from collector.broker.queue.shards import Shards
from collector.domain.post import PostBatch
from collector.ingest.post_queue import PostSink
from tests.support.factories import a_batch, a_post
from tests.support.fakes import FakePostSink


@dataclass(frozen=True, slots=True)
class Subject:
    """A sink, a function that reads what was written, and a sink whose server is gone."""

    sink: PostSink
    written: "Callable[[], AsyncIterator[tuple[int, PostBatch]]]"
    broken: PostSink


@pytest.fixture
def fake_sink() -> Subject:
    fake, broken = FakePostSink(), FakePostSink()
    broken.failures = [BrokerUnavailable("gone")]

    async def written() -> AsyncIterator[tuple[int, PostBatch]]:
        for item in fake.appended:
            yield item

    return Subject(fake, written, broken)


@pytest.fixture
async def real_sink(redis_url: str, key_prefix: str) -> AsyncIterator[Subject]:
    redis = connect(redis_url, socket_timeout_seconds=5)
    gone = connect("redis://127.0.0.1:1/0", socket_timeout_seconds=1)
    keys = RedisKeys(key_prefix)
    stream = PostStream(redis, keys, Shards(redis, keys, 2))
    await stream.ensure_group()

    async def written() -> AsyncIterator[tuple[int, PostBatch]]:
        for entry in await stream.read("looking", 100, 1):
            batch = entry.unpacked().batch
            assert batch is not None
            yield entry.shard, batch

    yield Subject(stream, written, PostStream(gone, keys, Shards(gone, keys)))
    await redis.aclose()
    await gone.aclose()


@pytest.fixture(params=["fake_sink", pytest.param("real_sink", marks=pytest.mark.integration)])
def subject(request: pytest.FixtureRequest) -> Subject:
    found: Subject = request.getfixturevalue(request.param)
    return found


async def test_batches_are_kept_whole_and_in_order(subject: Subject) -> None:
    batches = [a_batch(a_post(), a_post(body=b"\x00\xff")), a_batch(), a_batch()]

    for batch in batches:
        await subject.sink.append(1, batch)

    assert [item async for item in subject.written()] == [(1, batch) for batch in batches]


async def test_the_same_batch_may_be_appended_twice(subject: Subject) -> None:
    """A repeat after a lost reply is kept next to the first; the worker stores a batch id once."""
    batch = a_batch()

    await subject.sink.append(0, batch)
    await subject.sink.append(0, batch)

    assert [item async for item in subject.written()] == [(0, batch), (0, batch)]


async def test_an_unreachable_server_is_broker_unavailable(subject: Subject) -> None:
    """The queue retries after this error only."""
    with pytest.raises(BrokerUnavailable):
        await subject.broken.append(0, a_batch())

"""What every stream does for the worker: the fake that unit tests use, and the one on a real server."""

from collections.abc import AsyncIterator, Awaitable, Sequence
from dataclasses import dataclass

import pytest

from collector.broker.connection import connect
from collector.broker.errors import BrokerUnavailable
from collector.broker.keys import RedisKeys
from collector.broker.queue.bounded_reads import SHARED_DELIVERIES
from collector.broker.queue.post_stream import UNBOUNDED_BYTES, PackedEntry, PostStream
from collector.broker.queue.shards import Shards
from collector.ingest.post_queue import PostSink
from tests.support.factories import a_batch, a_post
from tests.worker.fakes import FakeStream
from worker.consumer import Stream

NEVER_MS = 3_600_000
GONE = BrokerUnavailable("gone")


@dataclass(frozen=True, slots=True)
class Subject:
    """A stream with an empty group, a way to write to it, and a stream whose server is gone."""

    stream: Stream
    sink: PostSink
    broken: Stream

    async def read(self, consumer: str, count: int = 100) -> list[PackedEntry]:
        """Read without waiting."""
        return await self.stream.read(consumer, count, 1, UNBOUNDED_BYTES)


@pytest.fixture
def fake_stream() -> Subject:
    fake, methods = FakeStream(), ("read", "claim", "acknowledge")
    return Subject(fake, fake, FakeStream(failures={method: [GONE] for method in methods}))


@pytest.fixture
async def real_stream(redis_url: str, key_prefix: str) -> AsyncIterator[Subject]:
    redis = connect(redis_url, socket_timeout_seconds=5)
    gone = connect("redis://127.0.0.1:1/0", socket_timeout_seconds=1)
    keys = RedisKeys(key_prefix)
    stream = PostStream(redis, keys, Shards(redis, keys))
    await stream.ensure_group()
    yield Subject(stream, stream, PostStream(gone, keys, Shards(gone, keys)))
    await redis.aclose()
    await gone.aclose()


@pytest.fixture(params=["fake_stream", pytest.param("real_stream", marks=pytest.mark.integration)])
def subject(request: pytest.FixtureRequest) -> Subject:
    found: Subject = request.getfixturevalue(request.param)
    return found


def _claim(stream: Stream, consumer: str, idle_ms: int, count: int) -> Awaitable[list[PackedEntry]]:
    return stream.claim(consumer, idle_ms, count, UNBOUNDED_BYTES, ())


def _ids(entries: Sequence[PackedEntry]) -> list[str]:
    return [entry.id for entry in entries]


async def test_each_entry_goes_to_one_consumer(subject: Subject) -> None:
    """In the order of writing, up to the number asked for."""
    batches = [a_batch() for _ in range(3)]
    for batch in batches:
        await subject.sink.append(0, batch)

    first, second = await subject.read("one", 2), await subject.read("two", 2)

    assert [entry.unpacked().batch for entry in first] == batches[:2]
    assert [entry.unpacked().batch for entry in second] == batches[2:]
    assert await subject.read("one") == []


async def test_creating_the_group_again_changes_nothing(subject: Subject) -> None:
    """Every worker does so at its start. Entries written before the group existed are in it."""
    await subject.sink.append(0, a_batch())
    await subject.read("one")

    await subject.stream.ensure_group()

    assert await subject.read("two") == []


async def test_an_entry_that_was_not_acknowledged_can_be_claimed(subject: Subject) -> None:
    """Unchanged, by any consumer, once it has been idle for long enough."""
    await subject.sink.append(0, a_batch())
    entries = await subject.read("dead")

    assert await _claim(subject.stream, "alive", NEVER_MS, 10) == []
    assert await _claim(subject.stream, "alive", 0, 10) == entries


async def test_a_claim_takes_no_more_than_it_asks_for(subject: Subject) -> None:
    """So that a transaction stays small."""
    for _ in range(3):
        await subject.sink.append(0, a_batch())
    entries = await subject.read("dead")

    assert await _claim(subject.stream, "alive", 0, 2) == entries[:2]


async def test_an_entry_that_was_acknowledged_never_comes_back(subject: Subject) -> None:
    """Neither by reading nor by claiming."""
    for _ in range(2):
        await subject.sink.append(0, a_batch())
    first, second = await subject.read("one")

    await subject.stream.acknowledge([first])

    assert _ids(await _claim(subject.stream, "two", 0, 10)) == [second.id]
    assert await subject.read("one") == []


async def test_acknowledging_twice_changes_nothing(subject: Subject) -> None:
    """Two workers may have stored the same entry. One that another has claimed can be acknowledged, too."""
    await subject.sink.append(0, a_batch())
    entries = await subject.read("one")
    await _claim(subject.stream, "two", 0, 10)

    await subject.stream.acknowledge(entries)
    await subject.stream.acknowledge(entries)

    assert await _claim(subject.stream, "three", 0, 10) == []


async def test_a_consumer_that_holds_entries_is_never_removed(subject: Subject) -> None:
    """Its entries would be lost."""
    await subject.sink.append(0, a_batch())
    entries = await subject.read("holding")

    await subject.stream.remove_dead_consumers(0)

    assert await _claim(subject.stream, "alive", 0, 10) == entries


async def test_a_consumer_that_is_not_idle_for_long_is_kept(subject: Subject) -> None:
    await subject.read("idle")

    assert await subject.stream.remove_dead_consumers(NEVER_MS) == 0


async def test_an_unreachable_server_is_broker_unavailable(subject: Subject) -> None:
    """The worker waits after this error."""
    await subject.sink.append(0, a_batch())
    entries = await subject.read("one")

    with pytest.raises(BrokerUnavailable):
        await subject.broken.read("one", 1, 1, 1)
    with pytest.raises(BrokerUnavailable):
        await _claim(subject.broken, "one", 0, 1)
    with pytest.raises(BrokerUnavailable):
        await subject.broken.acknowledge(entries)


async def test_a_read_ends_once_it_has_enough_bytes(subject: Subject) -> None:
    """Counted decompressed; with at least one entry."""
    for _ in range(4):
        await subject.sink.append(0, a_batch(a_post(body=b"x" * 100_000)))

    counts = [len(await subject.stream.read("one", 100, 1, worth)) for worth in (1, 150_000, UNBOUNDED_BYTES)]

    assert counts == [1, 2, 1]


async def test_a_claim_ends_once_it_has_enough_bytes(subject: Subject) -> None:
    for _ in range(4):
        await subject.sink.append(0, a_batch(a_post(body=b"x" * 100_000)))
    await subject.read("dead")

    assert len(await subject.stream.claim("alive", 0, 100, 150_000, ())) == 2


async def test_a_claim_leaves_entries_that_the_consumer_is_processing(subject: Subject) -> None:
    """It claims those that it was assigned but never received."""
    for _ in range(2):
        await subject.sink.append(0, a_batch())
    first, second = await subject.read("one")

    claimed = await subject.stream.claim("one", 0, 10, UNBOUNDED_BYTES, [(first.shard, first.id)])

    assert _ids(claimed) == [second.id]


async def test_an_entry_that_was_delivered_often_is_handed_out_alone(subject: Subject) -> None:
    """With the number of deliveries. The others come together."""
    await subject.sink.append(0, a_batch())
    [often] = await subject.read("one")
    for number in range(SHARED_DELIVERIES - 1):
        assert [each.deliveries for each in await _claim(subject.stream, "one", 0, 10)] == [number + 2]
    for _ in range(2):
        await subject.sink.append(0, a_batch())
    others = await subject.read("two")

    assert [each.deliveries for each in await _claim(subject.stream, "one", 0, 10)] == [SHARED_DELIVERIES + 1]
    await subject.stream.acknowledge([often])
    assert await _claim(subject.stream, "one", 0, 10) == others

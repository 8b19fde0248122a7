"""Group commit: posts that arrive during a write share the next one, and 202 only after it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from prometheus_client import CollectorRegistry

from collector.broker.errors import BrokerFull, BrokerUnavailable
from collector.domain.errors import Unavailable
from collector.domain.ids import PostIds
from collector.ingest import post_queue
from collector.ingest.backpressure import Backpressure, Marks
from collector.ingest.post_queue import PostQueue
from collector.ingest.reasons import Reasons
from collector.process.metrics import IngestMetrics
from tests.support.factories import a_post
from tests.support.fakes import FakeClock, FakePostSink
from tests.support.waiting import until


@asynccontextmanager
async def _running(sink: FakePostSink, clock: FakeClock, shards: int = 1) -> AsyncIterator[PostQueue]:
    metrics = IngestMetrics(CollectorRegistry())
    backpressure = Backpressure(Marks(0.8, None, 0), clock, metrics, Reasons(clock, metrics))
    queue = PostQueue(sink, PostIds(), clock, metrics, backpressure, lambda: shards)
    async with asyncio.timeout(10), queue.open():
        yield queue


async def test_a_post_is_accepted_only_after_it_is_written() -> None:
    """The caller's 202 waits for the sink."""
    sink = FakePostSink()
    sink.gate = asyncio.Semaphore(0)
    async with _running(sink, FakeClock()) as queue, asyncio.TaskGroup() as callers:
        appending = callers.create_task(queue.append(a_post()))
        await until(lambda: len(sink.attempts) == 1)
        assert not appending.done()
        sink.gate.release()
        await appending

    assert len(sink.appended) == 1


async def test_posts_that_arrive_during_a_write_share_the_next_one() -> None:
    """One write for the first post, one for all that arrived meanwhile, in order."""
    sink = FakePostSink()
    sink.gate = asyncio.Semaphore(0)
    posts = [a_post() for _ in range(20)]
    async with _running(sink, FakeClock()) as queue, asyncio.TaskGroup() as callers:
        callers.create_task(queue.append(posts[0]))
        await until(lambda: len(sink.attempts) == 1)
        for post in posts[1:]:
            callers.create_task(queue.append(post))
        await asyncio.sleep(0)
        sink.gate.release()
        sink.gate.release()

    assert [list(batch.posts) for _, batch in sink.appended] == [posts[:1], posts[1:]]


async def test_enough_posts_do_not_wait_for_the_write_before_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Concurrent writes share the server's fsync; a few posts are not worth a separate one."""
    monkeypatch.setattr(post_queue, "_MIN_POSTS_FOR_A_WRITE", 3)
    monkeypatch.setattr(post_queue, "_MAX_CONCURRENT_WRITES", 2)
    sink = FakePostSink()
    sink.gate = asyncio.Semaphore(0)
    async with _running(sink, FakeClock()) as queue, asyncio.TaskGroup() as callers:
        for size, writes in ((1, 1), (2, 1), (1, 2), (5, 2)):
            for _ in range(size):
                callers.create_task(queue.append(a_post()))
            await until(lambda writes=writes: len(sink.attempts) == writes)  # type: ignore[misc]
            await asyncio.sleep(0)
        assert [len(batch.posts) for _, batch in sink.attempts] == [1, 3]
        for _ in range(3):
            sink.gate.release()

    assert [len(batch.posts) for _, batch in sink.appended] == [1, 3, 5]


async def test_a_lost_reply_is_repeated_with_the_same_batch() -> None:
    """A batch id is stored once, so repeating the same batch is safe; a regrouped one would not be."""
    sink = FakePostSink()
    sink.failures = [BrokerUnavailable("reply lost"), BrokerUnavailable("reply lost")]
    async with _running(sink, FakeClock()) as queue:
        await queue.append(a_post())

    assert len(sink.attempts) == 3
    assert len({batch.id for _, batch in sink.attempts}) == 1
    assert len({shard for shard, _ in sink.attempts}) == 1


async def test_posts_are_refused_when_the_queue_stays_unreachable() -> None:
    """503 after a bounded time, also for the posts that waited behind the failed write."""
    clock = FakeClock()
    sink = FakePostSink()
    sink.gate = asyncio.Semaphore(0)
    async with _running(sink, clock) as queue:
        first = asyncio.ensure_future(queue.append(a_post()))
        await until(lambda: len(sink.attempts) == 1)
        second = asyncio.ensure_future(queue.append(a_post()))
        await asyncio.sleep(0)
        clock.advance(post_queue.APPEND_SECONDS + 1)
        sink.failures = [BrokerUnavailable("gone")]
        sink.gate.release()
        answers = await asyncio.gather(first, second, return_exceptions=True)
        assert [type(answer) for answer in answers] == [Unavailable, Unavailable]
        sink.gate.release()
        await queue.append(a_post())

    assert len(sink.appended) == 1


@pytest.mark.parametrize(
    "error", [BrokerFull("oom"), ValueError("surprise")], ids=["full", "a surprise on our side"]
)
async def test_errors_that_cannot_be_repeated_are_refused_and_the_loop_continues(error: Exception) -> None:
    """The next post is accepted."""
    sink = FakePostSink()
    sink.failures = [error]
    async with _running(sink, FakeClock()) as queue:
        with pytest.raises(Unavailable) as caught:
            await queue.append(a_post())
        await queue.append(a_post())

    assert caught.value.retry_after_seconds is not None
    assert len(sink.attempts) == 2


async def test_every_post_gets_an_answer_when_the_process_ends_under_a_write() -> None:
    """Another task has died: the posts being written and those waiting are refused."""
    sink = FakePostSink()
    sink.gate = asyncio.Semaphore(0)
    waiting: list[asyncio.Future[None]] = []

    async def serve() -> None:
        async with _running(sink, FakeClock()) as queue:
            waiting.append(queue.put(a_post()))
            await until(lambda: len(sink.attempts) == 1)
            waiting.append(queue.put(a_post()))
            raise RuntimeError("another task died")

    with pytest.raises(ExceptionGroup):
        await serve()

    assert [type(future.exception()) for future in waiting] == [Unavailable, Unavailable]


async def test_a_write_that_is_cancelled_refuses_its_posts() -> None:
    """Only the end of the process cancels a write, and no client may be left waiting then."""
    sink = FakePostSink()
    sink.failures = [asyncio.CancelledError()]  # type: ignore[list-item]
    async with _running(sink, FakeClock()) as queue:
        with pytest.raises(Unavailable):
            await queue.append(a_post())
        await queue.append(a_post())

    assert len(sink.appended) == 1


async def test_closing_writes_accepted_posts_and_refuses_new_ones() -> None:
    """SIGTERM loses no accepted post."""
    sink = FakePostSink()
    sink.gate = asyncio.Semaphore(0)
    async with _running(sink, FakeClock()) as queue, asyncio.TaskGroup() as callers:
        callers.create_task(queue.append(a_post()))
        await until(lambda: len(sink.attempts) == 1)
        callers.create_task(queue.append(a_post()))
        await asyncio.sleep(0)
        queue.close()
        with pytest.raises(Unavailable):
            await queue.append(a_post())
        sink.gate.release()
        sink.gate.release()

    assert sum(len(batch.posts) for _, batch in sink.appended) == 2


async def test_a_cancelled_waiter_does_not_cancel_the_others() -> None:
    """All posts of a batch wait for one reply; a cancelled handler must not cancel it."""
    sink = FakePostSink()
    sink.gate = asyncio.Semaphore(0)
    async with _running(sink, FakeClock()) as queue:
        leaving = asyncio.ensure_future(queue.append(a_post()))
        staying = asyncio.ensure_future(queue.append(a_post()))
        await until(lambda: len(sink.attempts) == 1)
        leaving.cancel()
        sink.gate.release()
        await staying
        await asyncio.wait([leaving])

    assert leaving.cancelled()


async def test_batches_are_bounded_in_posts_and_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many posts take several writes; a post larger than the bound is written alone."""
    monkeypatch.setattr(post_queue, "_POSTS_PER_BATCH", 3)
    monkeypatch.setattr(post_queue, "_BYTES_PER_BATCH", 100)
    sink = FakePostSink()
    bodies = [b"x" * 10] * 4 + [b"y" * 500] + [b"z" * 60] * 2
    async with _running(sink, FakeClock()) as queue:
        await asyncio.gather(*(queue.append(a_post(body=body)) for body in bodies))

    sizes = [[len(post.body) for post in batch.posts] for _, batch in sink.appended]
    assert sizes == [[10, 10, 10], [10], [500], [60], [60]]


async def test_posts_beyond_the_memory_bound_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ingest's own memory is bounded while the disk is slow."""
    monkeypatch.setattr(post_queue, "_WAITING_BYTES", 100)
    sink = FakePostSink()
    sink.gate = asyncio.Semaphore(0)
    async with _running(sink, FakeClock()) as queue, asyncio.TaskGroup() as callers:
        callers.create_task(queue.append(a_post(body=b"x" * 90)))
        await until(lambda: len(sink.attempts) == 1)
        callers.create_task(queue.append(a_post(body=b"x" * 90)))
        await asyncio.sleep(0)
        with pytest.raises(Unavailable):
            await queue.append(a_post(body=b"x" * 90))
        sink.gate.release()
        sink.gate.release()


async def test_a_post_larger_than_the_bound_is_accepted_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The body limit may be larger; the client would repeat the post forever."""
    monkeypatch.setattr(post_queue, "_WAITING_BYTES", 100)
    sink = FakePostSink()
    async with _running(sink, FakeClock()) as queue:
        await queue.append(a_post(body=b"x" * 200))

    assert [len(batch.posts) for _, batch in sink.appended] == [1]


async def test_shards_take_turns() -> None:
    """Several streams share the load."""
    sink = FakePostSink()
    async with _running(sink, FakeClock(), shards=2) as queue:
        for _ in range(4):
            await queue.append(a_post())

    assert sorted(shard for shard, _ in sink.appended) == [0, 0, 1, 1]

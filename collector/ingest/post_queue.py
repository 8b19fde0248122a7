"""Group commit: posts that arrive during a write are written together in the next one.

The next write starts when the previous one has been answered. It starts earlier, with a few writes running
concurrently, when enough posts have gathered: the server answers all of them after one fsync.

Every post of a batch waits for the reply to the batch, which the server sends after its fsync. A batch whose
reply is lost is sent again with the same batch id and the same posts, for a bounded time. After that its
posts are refused, although they may have been stored: only a 202 is a promise.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, Protocol

import structlog

from collector.broker.errors import BrokerFull, BrokerUnavailable
from collector.broker.keys import LANES, stream_number
from collector.domain.errors import Unavailable
from collector.domain.ids import PostIds
from collector.domain.post import Post, PostBatch
from collector.domain.reasons import POSTS_WAITING, QUEUE_FULL, QUEUE_UNAVAILABLE, STOPPING
from collector.ingest.backpressure import Backpressure
from collector.process.clock import Clock
from collector.process.metrics import IngestMetrics

APPEND_SECONDS: Final = 3.0
"""How long a batch may take, including repeats, before its posts are refused."""

_REPEAT_PAUSE_SECONDS: Final = 0.05
_POSTS_PER_BATCH: Final = 512
_BYTES_PER_BATCH: Final = 4 * 1024 * 1024
_MAX_CONCURRENT_WRITES: Final = 4
_MIN_POSTS_FOR_A_WRITE: Final = 16
_MIN_BYTES_FOR_A_WRITE: Final = 128 * 1024
_WAITING_BYTES: Final = 16 * 1024 * 1024
"""Posts of a lane that wait for the disk beyond this size are refused, to bound memory; a single post may be
larger."""

_log = structlog.get_logger()


class PostSink(Protocol):
    """Where batches are written."""

    async def append(self, shard: int, batch: PostBatch) -> None:
        """Return once the batch is on disk. Raises BrokerUnavailable or BrokerFull."""
        ...


class _SharedFuture(asyncio.Future[None]):
    """A future with many waiters: cancelling one of them must not cancel it for the others."""

    def cancel(self, msg: object = None) -> bool:  # noqa: ARG002
        """Ignore the cancellation; the waiter is cancelled once the batch is written."""
        return False


class _Batch:
    """Posts collected for one write, and the future that all of them wait for."""

    __slots__ = ("posts", "size_bytes", "written")

    def __init__(self) -> None:
        self.posts: list[Post] = []
        self.size_bytes = 0
        self.written: asyncio.Future[None] = _SharedFuture(loop=asyncio.get_running_loop())

    def has_room_for(self, size_bytes: int) -> bool:
        return not self.posts or (
            len(self.posts) < _POSTS_PER_BATCH and self.size_bytes + size_bytes <= _BYTES_PER_BATCH
        )

    @property
    def is_large(self) -> bool:
        """Whether it is large enough to be written without waiting for the write before it."""
        return len(self.posts) >= _MIN_POSTS_FOR_A_WRITE or self.size_bytes >= _MIN_BYTES_FOR_A_WRITE

    def settle(self, refusal: Unavailable | None) -> None:
        """Answer every waiting post; only the first call counts."""
        if self.written.done():
            return
        if refusal is None:
            self.written.set_result(None)
        else:
            self.written.set_exception(refusal)
            self.written.exception()  # Mark it as retrieved: perhaps no post waits any more.


class _Waiting:
    """The batches of one lane that are not written yet, and how many writes of the lane are running."""

    __slots__ = ("batches", "lane", "running_writes", "size_bytes")

    def __init__(self, lane: int) -> None:
        self.lane = lane
        self.batches: list[_Batch] = []
        self.size_bytes = 0
        self.running_writes = 0

    @property
    def is_write_due(self) -> bool:
        # The first write starts immediately; one concurrent with it needs enough posts to be worth an fsync.
        if not self.batches or self.running_writes >= _MAX_CONCURRENT_WRITES:
            return False
        return not self.running_writes or len(self.batches) > 1 or self.batches[0].is_large

    def clear(self) -> list[_Batch]:
        batches, self.batches = self.batches, []
        self.size_bytes = 0
        return batches


class PostQueue:
    """Collects posts into batches, by lane, and writes these to the shards in turn, while it is open."""

    def __init__(
        self,
        sink: PostSink,
        ids: PostIds,
        clock: Clock,
        metrics: IngestMetrics,
        backpressure: Backpressure,
        shards: Callable[[], int] = lambda: 1,
    ) -> None:
        """`shards` returns the number of shards, which may change; it is called for each batch."""
        self._sink = sink
        self._ids = ids
        self._clock = clock
        self._metrics = metrics
        self._backpressure = backpressure
        self._reasons = backpressure.reasons
        self._shards = shards
        self._lanes = backpressure.lanes
        self._waiting = [_Waiting(lane) for lane in range(LANES)]
        self._group: asyncio.TaskGroup
        self._is_open = False
        self._next_shard = 0

    async def append(self, post: Post) -> None:
        """Return once the post is on the queue's disk. Raises Unavailable if it may not be there."""
        await self.put(post)

    def put(self, post: Post) -> asyncio.Future[None]:
        """Queue the post; the future completes once it is on the queue's disk, or fails with Unavailable.

        All posts of a batch share the future. Raises Unavailable for a post that is not accepted.
        """
        size_bytes = len(post.body)
        # Refuse what cannot be written, or would take too much memory; everything else joins a batch.
        if not self._is_open:
            raise self._reasons.refusal(STOPPING)
        waiting = self._waiting[self._lanes.charge(post)]
        if waiting.lane and self._backpressure.is_crowded:
            raise self._backpressure.crowded()
        if waiting.size_bytes + size_bytes > _WAITING_BYTES and waiting.size_bytes:
            if waiting.lane:  # no reason for others to go elsewhere
                raise self._backpressure.crowded()
            self._reasons.note(POSTS_WAITING)
            raise self._reasons.refusal(POSTS_WAITING)
        batches = waiting.batches
        if not batches or not batches[-1].has_room_for(size_bytes):
            batches.append(_Batch())
        batch = batches[-1]
        batch.posts.append(post)
        batch.size_bytes += size_bytes
        self._backpressure.count_appended(size_bytes)
        waiting.size_bytes += size_bytes
        if waiting.is_write_due:
            self._begin_write(waiting)
        return batch.written

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Accept posts inside the block; at its end, wait until all accepted posts are written or refused."""
        try:
            async with asyncio.TaskGroup() as self._group:
                self._is_open = True
                try:
                    yield
                finally:
                    self.close()
        finally:
            # Posts are left only if the writing tasks were cancelled: do not let them wait forever.
            self._refuse_waiting(self._reasons.refusal(STOPPING))

    def close(self) -> None:
        """Accept no more posts; those that wait are still written."""
        self._is_open = False
        self._reasons.put(STOPPING, "")

    def _begin_write(self, waiting: _Waiting) -> None:
        """Start a task that writes the oldest batch of a lane, which grows until the task runs."""
        waiting.running_writes += 1
        writing = self._write_next(waiting)
        try:
            self._group.create_task(writing)
        except RuntimeError:  # the task group is being cancelled: nothing can be written any more
            writing.close()
            waiting.running_writes -= 1
            self._refuse_waiting(self._reasons.refusal(STOPPING))

    async def _write_next(self, waiting: _Waiting) -> None:
        try:
            if waiting.batches:
                batch = waiting.batches.pop(0)
                waiting.size_bytes -= batch.size_bytes
                refusal = await self._attempt(batch, waiting.lane)
                if refusal is not None:
                    self._refuse_waiting(refusal)
        finally:
            waiting.running_writes -= 1
        if waiting.is_write_due:
            self._begin_write(waiting)

    async def _attempt(self, batch: _Batch, lane: int) -> Unavailable | None:
        """Write one batch and answer its posts; returns the refusal if it failed.

        Every outcome, also a cancellation, becomes an answer, because posts wait for one.
        """
        refusal: Unavailable | None = None
        try:
            refusal = await self._write(batch, lane)
        except BaseException as error:
            refusal = self._reasons.refusal(QUEUE_UNAVAILABLE)
            if not isinstance(error, Exception):
                raise
            self._metrics.background_failures.labels("append").inc()
            self._reasons.note(QUEUE_UNAVAILABLE, f"an unexpected {type(error).__name__}; see the log")
            _log.exception("append failed", posts=len(batch.posts))
        finally:
            batch.settle(refusal)
        return refusal

    async def _write(self, collected: _Batch, lane: int) -> Unavailable | None:
        """Write one batch, again while its reply may only be lost; returns the refusal if it failed."""
        batch = PostBatch(self._ids.next(self._clock.now_ms()), tuple(collected.posts))
        self._next_shard = shard = (self._next_shard + 1) % self._shards()
        started = self._clock.monotonic()
        while True:
            try:
                await self._sink.append(stream_number(lane, shard), batch)
            except BrokerFull:
                # Out of memory: repeating would only fail again.
                self._backpressure.note_refused_write()
                return self._reasons.refusal(QUEUE_FULL)
            except BrokerUnavailable as error:
                # The batch may have been written and only the reply lost: its id makes a repeat harmless.
                if self._clock.monotonic() - started > APPEND_SECONDS:
                    self._reasons.note(QUEUE_UNAVAILABLE, str(error))
                    return self._reasons.refusal(QUEUE_UNAVAILABLE)
            else:
                self._reasons.forget(QUEUE_UNAVAILABLE)
                self._metrics.posts_accepted.inc(len(collected.posts))
                self._metrics.bytes_accepted.inc(collected.size_bytes)
                self._metrics.posts_per_batch.observe(len(collected.posts))
                self._metrics.append_seconds.observe(self._clock.monotonic() - started)
                return None
            self._metrics.appends_repeated.inc()
            await asyncio.sleep(_REPEAT_PAUSE_SECONDS)

    def _refuse_waiting(self, refusal: Unavailable) -> None:
        """Refuse all waiting posts: behind a failed write they would only wait just as long."""
        for waiting in self._waiting:
            for batch in waiting.clear():
                batch.settle(refusal)

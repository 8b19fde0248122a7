"""Group commit: posts that arrive while a write is under way go out together in the next one.

A next write starts when the last one has its reply, or, up to a few at once, when enough posts have gathered
to be worth one: the server answers all that it was sent meanwhile after one fsync.

Every post of a batch waits for the batch's one reply, which comes after the server's fsync. A batch whose
reply is lost is repeated with the same batch id and never regrouped, within a bounded time; after that its
posts are refused, though they may have been stored: what counts is the 202.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, Protocol

import structlog

from collector.broker.errors import BrokerFull, BrokerUnavailable
from collector.domain.errors import Unavailable
from collector.domain.ids import PostIds
from collector.domain.post import Post, PostBatch
from collector.domain.reasons import POSTS_WAITING, QUEUE_FULL, QUEUE_UNAVAILABLE, STOPPING
from collector.ingest.backpressure import Backpressure
from collector.process.clock import Clock
from collector.process.metrics import IngestMetrics

APPEND_SECONDS: Final = 3.0
"""How long a batch may take, repeats included, before its posts are refused."""

_REPEAT_PAUSE_SECONDS: Final = 0.05
_POSTS_PER_BATCH: Final = 512
_BYTES_PER_BATCH: Final = 4 * 1024 * 1024
_WRITES_AT_ONCE: Final = 4
_POSTS_WORTH_A_WRITE: Final = 16
_BYTES_WORTH_A_WRITE: Final = 128 * 1024
_WAITING_BYTES: Final = 32 * 1024 * 1024
"""Ingest refuses more than that waiting for the disk before its memory fills; one post may be larger."""

_log = structlog.get_logger()


class PostSink(Protocol):
    """Where batches go."""

    async def append(self, shard: int, batch: PostBatch) -> None:
        """Return once the batch is on disk. Raises BrokerUnavailable or BrokerFull."""
        ...


class _SharedFuture(asyncio.Future[None]):
    """A future that many wait for: one waiter that is cancelled must not cancel it for the others."""

    def cancel(self, msg: object = None) -> bool:  # noqa: ARG002
        """Not to be cancelled; the waiter learns of its own cancellation once the batch is written."""
        return False


class _Batch:
    """Posts being collected for one write, and the one future that all of them wait for."""

    __slots__ = ("posts", "size_bytes", "written")

    def __init__(self) -> None:
        self.posts: list[Post] = []
        self.size_bytes = 0
        self.written: asyncio.Future[None] = _SharedFuture(loop=asyncio.get_running_loop())

    def takes(self, size_bytes: int) -> bool:
        return not self.posts or (
            len(self.posts) < _POSTS_PER_BATCH and self.size_bytes + size_bytes <= _BYTES_PER_BATCH
        )

    @property
    def is_worth_a_write(self) -> bool:
        """Whether it is large enough not to wait for the write before it."""
        return len(self.posts) >= _POSTS_WORTH_A_WRITE or self.size_bytes >= _BYTES_WORTH_A_WRITE

    def settle(self, refusal: Unavailable | None) -> None:
        """Tell every waiting post, once: a second word comes too late."""
        if self.written.done():
            return
        if refusal is None:
            self.written.set_result(None)
        else:
            self.written.set_exception(refusal)
            self.written.exception()  # Read once, so that a batch nobody waits for any more stays quiet.


class PostQueue:
    """Collects posts into batches and writes them to the shards in turn, while it is open."""

    def __init__(
        self,
        sink: PostSink,
        ids: PostIds,
        clock: Clock,
        metrics: IngestMetrics,
        backpressure: Backpressure,
        shards: Callable[[], int] = lambda: 1,
    ) -> None:
        """`shards` says how many there are: asked for each batch, because that may change."""
        self._sink = sink
        self._ids = ids
        self._clock = clock
        self._metrics = metrics
        self._backpressure = backpressure
        self._reasons = backpressure.reasons
        self._shards = shards
        self._batches: list[_Batch] = []
        self._waiting_bytes = 0
        self._group: asyncio.TaskGroup
        self._is_open = False
        self._writes_under_way = 0
        self._next_shard = 0

    async def append(self, post: Post) -> None:
        """Return once the post is on the queue's disk. Raises Unavailable when it may not be."""
        await self.put(post)

    def put(self, post: Post) -> asyncio.Future[None]:
        """What is done once the post is on the queue's disk, or fails with Unavailable when it may not be.

        Many posts share it. Raises Unavailable at once for a post that is not taken.
        """
        size_bytes = len(post.body)
        if not self._is_open:
            raise self._reasons.refusal(STOPPING)
        if self._waiting_bytes + size_bytes > _WAITING_BYTES and self._waiting_bytes:
            self._reasons.note(POSTS_WAITING)
            raise self._reasons.refusal(POSTS_WAITING)
        if not self._batches or not self._batches[-1].takes(size_bytes):
            self._batches.append(_Batch())
        batch = self._batches[-1]
        batch.posts.append(post)
        batch.size_bytes += size_bytes
        self._backpressure.took(size_bytes)
        self._waiting_bytes += size_bytes
        if self._is_write_due:
            self._begin_write()
        return batch.written

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Take posts inside the block; it ends when those that were taken are written, or refused."""
        try:
            async with asyncio.TaskGroup() as self._group:
                self._is_open = True
                try:
                    yield
                finally:
                    self.close()
        finally:
            # Only where the tasks that write were cancelled: whoever waits must not wait for ever.
            self._refuse_waiting(self._reasons.refusal(STOPPING))

    def close(self) -> None:
        """Take no more posts; those that wait are written."""
        self._is_open = False
        self._reasons.put(STOPPING, "")

    @property
    def _is_write_due(self) -> bool:
        if not self._batches or self._writes_under_way >= _WRITES_AT_ONCE:
            return False
        return not self._writes_under_way or len(self._batches) > 1 or self._batches[0].is_worth_a_write

    def _begin_write(self) -> None:
        """Write in a task of its own, which takes along what comes before it gets its turn."""
        self._writes_under_way += 1
        writing = self._write_next()
        try:
            self._group.create_task(writing)
        except RuntimeError:  # the group is being cancelled: nothing is written any more
            writing.close()
            self._writes_under_way -= 1
            self._refuse_waiting(self._reasons.refusal(STOPPING))

    async def _write_next(self) -> None:
        try:
            if self._batches:
                batch = self._batches.pop(0)
                self._waiting_bytes -= batch.size_bytes
                refusal = await self._attempt(batch)
                if refusal is not None:
                    self._refuse_waiting(refusal)
        finally:
            self._writes_under_way -= 1
        if self._is_write_due:
            self._begin_write()

    async def _attempt(self, batch: _Batch) -> Unavailable | None:
        """Write one batch and tell its posts; answers why it failed.

        Whatever happens becomes a refusal, a cancellation, too, because posts wait for an answer.
        """
        refusal: Unavailable | None = None
        try:
            refusal = await self._write(batch)
        except BaseException as error:
            refusal = self._reasons.refusal(QUEUE_UNAVAILABLE)
            if not isinstance(error, Exception):
                raise
            self._metrics.background_failures.labels("append").inc()
            self._reasons.note(QUEUE_UNAVAILABLE, f"an unforeseen {type(error).__name__}; see the log")
            _log.exception("append failed", posts=len(batch.posts))
        finally:
            batch.settle(refusal)
        return refusal

    async def _write(self, collected: _Batch) -> Unavailable | None:
        """Write one batch, repeating it while its reply may only have been lost; answers why it failed."""
        batch = PostBatch(self._ids.next(self._clock.now_ms()), tuple(collected.posts))
        self._next_shard = shard = (self._next_shard + 1) % self._shards()
        started = self._clock.monotonic()
        while True:
            try:
                await self._sink.append(shard, batch)
            except BrokerFull:
                self._backpressure.refused()
                return self._reasons.refusal(QUEUE_FULL)
            except BrokerUnavailable as error:
                if self._clock.monotonic() - started > APPEND_SECONDS:
                    self._reasons.note(QUEUE_UNAVAILABLE, str(error))
                    return self._reasons.refusal(QUEUE_UNAVAILABLE)
            else:
                self._reasons.forget(QUEUE_UNAVAILABLE)
                self._count(collected, self._clock.monotonic() - started)
                return None
            self._metrics.appends_repeated.inc()
            await asyncio.sleep(_REPEAT_PAUSE_SECONDS)

    def _refuse_waiting(self, refusal: Unavailable) -> None:
        """What waits behind a failed write would only wait as long again."""
        waiting, self._batches = self._batches, []
        self._waiting_bytes = 0
        for batch in waiting:
            batch.settle(refusal)

    def _count(self, batch: _Batch, seconds: float) -> None:
        self._metrics.posts_accepted.inc(len(batch.posts))
        self._metrics.bytes_accepted.inc(batch.size_bytes)
        self._metrics.posts_per_batch.observe(len(batch.posts))
        self._metrics.append_seconds.observe(seconds)

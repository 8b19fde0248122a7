"""The worker's periodic jobs, each in its own loop that survives failures.

Most jobs are done once per installation: every worker asks for them, and one worker runs each when it is due.
Jobs about a worker's own state run in every worker.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from math import inf
from typing import Final, Protocol

import asyncpg
import structlog

from collector.broker.errors import BrokerFull
from collector.broker.keys import stream_label
from collector.broker.queue.post_stream import ShardBacklog
from collector.database.job_runs import run_once
from collector.database.pool import connected
from collector.database.schema.word_indexes import (
    build_word_index,
    count_unindexed_events,
    count_word_indexes,
)
from collector.database.search.overview import read_overview
from collector.database.sessions.upkeep import apply_beats, update_start_events
from collector.database.sessions.user_descriptions import apply_descriptions, forget_descriptions
from collector.domain.session.session import Beat
from collector.process.lifecycle import Stop
from collector.process.metrics import WorkerMetrics

SWEEP_SECONDS: Final = 30.0
PARTITIONS_SECONDS: Final = 3600.0
FORGET_SECONDS: Final = 3600.0
BACKLOG_SECONDS: Final = 5.0
HEARTBEATS_SECONDS: Final = 5.0
SESSIONS_SECONDS: Final = 5.0
ACTIVITY_SECONDS: Final = 10.0
PURGE_SECONDS: Final = 15.0
DEAD_LETTERS_SECONDS: Final = 30.0
DESCRIPTIONS_SECONDS: Final = 1.0
HELD_POSTS_SECONDS: Final = 15.0
FOLD_SECONDS: Final = 5.0
"""Longer saves little; readers unpack what is not folded."""
ROLLUPS_SECONDS: Final = 60.0
WORD_INDEX_SECONDS: Final = 15.0
"""After each index, so that building leaves time to other work; today is looked at as often."""
WORD_INDEX_DAYS_SECONDS: Final = 60.0
STORAGE_SECONDS: Final = 60.0
PARTITION_DAYS_AHEAD: Final = 3
BATCH_IDS_KEPT: Final = timedelta(days=7)
"""Longer than any claim, repeat or spool can take."""

_RETRY_SECONDS: Final = 5.0
_LONGEST_RUN_SECONDS: Final = 300.0
_MUCH_BACKLOG: Final = 2000
"""Unread entries: a worker that keeps up has fewer."""
_AFTER_FAILURE_SECONDS: Final = 3600.0
"""Until another index is tried: a disk that was too small has not grown in a minute."""
_PAGE: Final = 500
"""Sessions, heartbeats or descriptions in one transaction."""
_MOST_PAGES: Final = 100
"""Bounds one run; the next run continues."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Job:
    """Runs at start and then every `every_seconds`; sooner after a failure."""

    name: str
    every_seconds: float
    run: Callable[[], Awaitable[object]]
    longest_seconds: float = _LONGEST_RUN_SECONDS


class Backlog(Protocol):
    """The part of the stream that knows its backlog."""

    async def backlog(self) -> Sequence[ShardBacklog]:
        """What waits in each shard."""
        ...


class WordIndexing:
    """Builds the indexes of words, one in each run, while the queue is nearly empty."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        streams: Sequence[Backlog],
        metrics: WorkerMetrics,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = pool
        self._streams = streams
        self._metrics = metrics
        self._timer = timer
        self._not_before = -inf
        self._failed: set[date] = set()

    async def __call__(self) -> None:
        """Build one index, unless events wait to be stored or building has just failed."""
        if self._timer() < self._not_before:
            return
        backlog = [shard for stream in self._streams for shard in await stream.backlog()]
        if sum(shard.length - shard.pending if shard.lag is None else shard.lag for shard in backlog) > (
            _MUCH_BACKLOG
        ):
            return
        began = self._timer()
        self._not_before = began + _AFTER_FAILURE_SECONDS
        seconds = self._metrics.word_index_build_seconds
        try:
            day = await build_word_index(self._pool, self._failed)
        except Exception:
            seconds.labels("failed").observe(self._timer() - began)
            _log.warning("words of days could not be indexed", days=sorted(map(str, self._failed)))
            raise
        if day is not None:
            seconds.labels("built").observe(self._timer() - began)
        self._not_before = -inf


class HeartbeatQueue(Protocol):
    """Heartbeats that wait to be applied to their sessions."""

    async def due(self, limit: int) -> list[Beat]:
        """Up to `limit` heartbeats that are due."""
        ...

    async def forget(self, beats: Sequence[Beat]) -> None:
        """Remove heartbeats that were applied."""
        ...

    async def put_off(self, beats: Sequence[Beat]) -> None:
        """Make these heartbeats due again later."""
        ...


async def run_periodically(job: Job, stop: Stop, metrics: WorkerMetrics) -> None:
    """Run the job periodically until `stop` is requested; a failure is counted, logged and retried."""
    while not stop.is_requested:
        pause = job.every_seconds
        try:
            async with asyncio.timeout(job.longest_seconds):
                await job.run()
        # A job that hangs is a failure, too: the time-out ends it, and it starts again.
        except Exception as error:  # noqa: BLE001 - the loop must survive; counted and logged
            metrics.maintenance_failures.labels(job.name).inc()
            _log.warning("maintenance failed", job=job.name, error=f"{type(error).__name__}: {error}")
            pause = min(pause, _RETRY_SECONDS)
        await stop.sleep(pause)


def once(
    pool: asyncpg.Pool,
    name: str,
    every_seconds: float,
    run: Callable[[], Awaitable[object]],
    longest_seconds: float = _LONGEST_RUN_SECONDS,
) -> Job:
    """A job done once per installation: whichever worker asks first when it is due runs it."""
    return Job(name, every_seconds, partial(run_once, pool, name, every_seconds, run), longest_seconds)


class Sweep:
    """The sweep of the token projection, which bounds how old ingest's knowledge of tokens can be.

    The first sweep is this worker's own: a worker is ready only once ingest knows its tokens. Later sweeps go
    through `share`, so that one worker of the installation runs each.
    """

    def __init__(
        self,
        sweep: Callable[[], Awaitable[None]],
        metrics: WorkerMetrics,
        share: Callable[[Callable[[], Awaitable[None]]], Awaitable[object]] | None = None,
    ) -> None:
        self.is_done = False
        self._sweep = sweep
        self._metrics = metrics
        self._share = share

    async def __call__(self) -> None:
        """Sweep once, unless another worker just has, and count the result."""
        # The first sweep is never shared: another worker's may have been before a token that this one needs.
        if self.is_done and self._share is not None:
            await self._share(self._sweep_and_count)
        else:
            await self._sweep_and_count()

    async def _sweep_and_count(self) -> None:
        try:
            await self._sweep()
        except BaseException as error:
            self._metrics.sweeps.labels("failed").inc()
            # A full queue was filled through a swept projection: this worker must count as ready to empty it.
            self.is_done = self.is_done or isinstance(error, BrokerFull)
            raise
        self._metrics.sweeps.labels("done").inc()
        self.is_done = True


async def measure_backlog(streams: Sequence[Backlog], metrics: WorkerMetrics) -> None:
    """Publish what waits in the streams; an unknown lag counts as everything that is not pending."""
    backlog = [shard for stream in streams for shard in await stream.backlog()]
    # Streams no longer in use would otherwise keep their last figure.
    metrics.stream_lag.clear()
    metrics.stream_pending.clear()
    for shard in backlog:
        lag = shard.length - shard.pending if shard.lag is None else shard.lag
        label = stream_label(shard.shard)
        metrics.stream_lag.labels(label).set(lag)
        metrics.stream_pending.labels(label).set(shard.pending)


async def measure_storage(pool: asyncpg.Pool, metrics: WorkerMetrics) -> None:
    """Publish what Postgres holds: partitions, bytes, dead letters, days without a rollup."""
    now = datetime.now(UTC)
    async with connected(pool) as connection:
        overview = await read_overview(connection, now, now)
    metrics.partitions.set(overview.partitions)
    metrics.partitions_ahead.set(overview.partitions_ahead)
    metrics.database_bytes.set(overview.database_bytes)
    metrics.rollup_days_behind.set(overview.rollups_behind)
    # Reasons without a dead letter would otherwise keep their last figure.
    metrics.dead_letters_kept.clear()
    for total in overview.dead_letters:
        metrics.dead_letters_kept.labels(total.reason).set(total.letters)


async def measure_word_indexes(pool: asyncpg.Pool, metrics: WorkerMetrics) -> None:
    """Publish for how many days that are over words are indexed, and for how many events of today not."""
    days = await count_word_indexes(pool)
    metrics.word_index_days.labels("indexed").set(days.indexed)
    metrics.word_index_days.labels("missing").set(days.missing)
    metrics.word_index_behind.set(await count_unindexed_events(pool))


async def apply_heartbeats(heartbeats: HeartbeatQueue, pool: asyncpg.Pool) -> None:
    """Apply due heartbeats to their sessions; those whose session is not stored yet are put off.

    A heartbeat is removed only after it was applied: after a crash it is applied again, with no effect.
    """
    for _ in range(_MOST_PAGES):
        beats = await heartbeats.due(_PAGE)
        if beats:
            # In this order: after a crash in between, the beats are applied again, with no effect.
            applied = await apply_beats(pool, beats)
            await heartbeats.forget([beat for beat in beats if beat in applied])
            await heartbeats.put_off([beat for beat in beats if beat not in applied])
        if len(beats) < _PAGE:
            break


async def keep_sessions(pool: asyncpg.Pool) -> None:
    """Write the sessions' durations into their start events, and end the silent sessions."""
    for _ in range(_MOST_PAGES):
        if await update_start_events(pool, _PAGE) < _PAGE:
            break


async def describe_events(pool: asyncpg.Pool, metrics: WorkerMetrics) -> None:
    """Write users' descriptions into their events, if those are stored already."""
    for _ in range(_MOST_PAGES):
        described = await apply_descriptions(pool, _PAGE)
        metrics.user_descriptions.labels("applied").inc(described.applied)
        metrics.user_descriptions.labels("refused").inc(described.refused)
        if described.due < _PAGE:
            break


async def forget_old_descriptions(pool: asyncpg.Pool, retention_days: int, metrics: WorkerMetrics) -> None:
    """Drop descriptions whose event never came."""
    forgotten = await forget_descriptions(pool, retention_days)
    metrics.user_descriptions.labels("forgotten").inc(forgotten)

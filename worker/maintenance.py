"""What the worker does beside the stream, each job in a loop of its own that survives its failures.

Most jobs are the installation's: every worker asks for them, and one of them runs each in its time. What
only one worker knows that worker does for itself.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final, Protocol

import asyncpg
import structlog

from collector.broker.errors import BrokerFull
from collector.broker.post_stream import ShardBacklog
from collector.database.job_runs import run_once
from collector.database.sessions.upkeep import hear, update_start_events
from collector.database.sessions.user_descriptions import apply_descriptions, forget_descriptions
from collector.domain.session.session import Beat
from collector.process.lifecycle import Stop
from collector.process.metrics import WorkerMetrics

SWEEP_SECONDS: Final = 30.0
LEAVES_SECONDS: Final = 3600.0
FORGET_SECONDS: Final = 3600.0
BACKLOG_SECONDS: Final = 5.0
HEARTBEATS_SECONDS: Final = 5.0
SESSIONS_SECONDS: Final = 5.0
ACTIVITY_SECONDS: Final = 10.0
LEFT_BEHIND_SECONDS: Final = 15.0
DESCRIPTIONS_SECONDS: Final = 1.0
HELD_POSTS_SECONDS: Final = 15.0
LEAF_DAYS_AHEAD: Final = 3
STORED_BATCHES_KEPT: Final = timedelta(days=7)
"""Longer than any claim, repeat or spool can take."""

_RETRY_SECONDS: Final = 5.0
_LONGEST_RUN_SECONDS: Final = 300.0
_PAGE: Final = 500
"""So many sessions, heartbeats or descriptions are one transaction."""
_MOST_PAGES: Final = 100
"""Of one run: what is left then has its turn in the next one."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Job:
    """Something to be done now and then again every so many seconds; sooner after a failure."""

    name: str
    every_seconds: float
    run: Callable[[], Awaitable[object]]


class Backlog(Protocol):
    """What knows how much waits in the stream."""

    async def backlog(self) -> Sequence[ShardBacklog]:
        """What waits in each shard."""
        ...


class WaitingHeartbeats(Protocol):
    """Heartbeats that wait to be told to their sessions."""

    async def due(self, limit: int) -> list[Beat]:
        """Some that it is time for."""
        ...

    async def forget(self, beats: Sequence[Beat]) -> None:
        """Remove what sessions were told of."""
        ...

    async def put_off(self, beats: Sequence[Beat]) -> None:
        """Offer these again later."""
        ...


async def keep_doing(job: Job, stop: Stop, metrics: WorkerMetrics) -> None:
    """Run the job again and again until told to stop; a failure is counted, logged and tried again."""
    while not stop.is_requested:
        pause = job.every_seconds
        try:
            async with asyncio.timeout(_LONGEST_RUN_SECONDS):
                await job.run()
        except Exception as error:  # noqa: BLE001 - the loop must survive; counted and logged
            metrics.maintenance_failures.labels(job.name).inc()
            _log.warning("maintenance failed", job=job.name, error=f"{type(error).__name__}: {error}")
            pause = min(pause, _RETRY_SECONDS)
        await stop.sleep(pause)


def once(pool: asyncpg.Pool, name: str, every_seconds: float, run: Callable[[], Awaitable[object]]) -> Job:
    """A job of the installation: one of its workers runs it in its time."""
    return Job(name, every_seconds, partial(run_once, pool, name, every_seconds, run))


class Sweep:
    """The sweep of the token projection; ingest's knowledge of tokens is only as fresh as its last run.

    The first one is this worker's own: it is ready only when ingest know their tokens. Of the later ones
    `share` says whose turn it is.
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
        """Sweep once, unless another worker has, and count how it went."""
        if self.is_done and self._share is not None:
            await self._share(self._counted)
        else:
            await self._counted()

    async def _counted(self) -> None:
        try:
            await self._sweep()
        except BaseException as error:
            self._metrics.sweeps.labels("failed").inc()
            # What filled the queue came through a swept projection; this worker must stay and empty it.
            self.is_done = self.is_done or isinstance(error, BrokerFull)
            raise
        self._metrics.sweeps.labels("done").inc()
        self.is_done = True


async def measure_backlog(stream: Backlog, metrics: WorkerMetrics) -> None:
    """Publish what waits in the stream; an unknown lag counts as all that is not in hand.

    A stream that is no longer in use is left out: its last figure would stay.
    """
    backlog = await stream.backlog()
    metrics.stream_lag.clear()
    metrics.stream_pending.clear()
    for shard in backlog:
        lag = shard.length - shard.pending if shard.lag is None else shard.lag
        metrics.stream_lag.labels(shard.shard).set(lag)
        metrics.stream_pending.labels(shard.shard).set(shard.pending)


async def apply_heartbeats(heartbeats: WaitingHeartbeats, pool: asyncpg.Pool) -> None:
    """Tell sessions of their heartbeats; those whose session is not stored yet are kept for later.

    A heartbeat is removed once its session knows, so that a crash in between only tells it again.
    """
    for _ in range(_MOST_PAGES):
        beats = await heartbeats.due(_PAGE)
        if beats:
            heard = await hear(pool, beats)
            await heartbeats.forget([beat for beat in beats if beat in heard])
            await heartbeats.put_off([beat for beat in beats if beat not in heard])
        if len(beats) < _PAGE:
            break


async def keep_sessions(pool: asyncpg.Pool) -> None:
    """Tell start events how long their sessions are, and end the sessions that nothing is heard of."""
    for _ in range(_MOST_PAGES):
        if await update_start_events(pool, _PAGE) < _PAGE:
            break


async def describe_events(pool: asyncpg.Pool, metrics: WorkerMetrics) -> None:
    """Write users' descriptions into their events, as far as those are there."""
    for _ in range(_MOST_PAGES):
        described = await apply_descriptions(pool, _PAGE)
        metrics.user_descriptions.labels("applied").inc(described.applied)
        metrics.user_descriptions.labels("refused").inc(described.refused)
        if described.due < _PAGE:
            break


async def forget_old_descriptions(pool: asyncpg.Pool, retention_days: int, metrics: WorkerMetrics) -> None:
    """Give up on descriptions whose event never came."""
    forgotten = await forget_descriptions(pool, retention_days)
    metrics.user_descriptions.labels("forgotten").inc(forgotten)

"""What the worker does beside the stream, each job in a loop of its own that survives its failures.

Every worker runs every job: each is safe to run twice at once, so none has to be chosen.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol

import structlog

from collector.broker.errors import BrokerFull
from collector.broker.post_stream import ShardBacklog
from collector.process.lifecycle import Stop
from collector.process.metrics import WorkerMetrics

SWEEP_SECONDS: Final = 30.0
LEAVES_SECONDS: Final = 3600.0
FORGET_SECONDS: Final = 3600.0
BACKLOG_SECONDS: Final = 5.0
LEAF_DAYS_AHEAD: Final = 3
STORED_BATCHES_KEPT: Final = timedelta(days=7)
"""Longer than any claim, repeat or spool can take."""

_RETRY_SECONDS: Final = 5.0
_LONGEST_RUN_SECONDS: Final = 300.0

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


class Sweep:
    """The sweep of the token projection; the doors' knowledge of tokens is only as fresh as its last run."""

    def __init__(self, sweep: Callable[[], Awaitable[None]], metrics: WorkerMetrics) -> None:
        self.is_done = False
        self._sweep = sweep
        self._metrics = metrics

    async def __call__(self) -> None:
        """Sweep once and count how it went."""
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
    """Publish what waits in the stream; an unknown lag counts as all that is not in hand."""
    for shard in await stream.backlog():
        lag = shard.length - shard.pending if shard.lag is None else shard.lag
        metrics.stream_lag.labels(shard.shard).set(lag)
        metrics.stream_pending.labels(shard.shard).set(shard.pending)

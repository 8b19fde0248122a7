"""The loop from the stream to the store: read, understand, save, acknowledge.

Nothing is acknowledged before it is committed, and whatever fails is tried again until the worker is told to
stop. Entries that a dead worker left behind are taken over; met twice, they are stored once.
"""

import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar

import structlog

from collector.broker.errors import BrokerFull
from collector.broker.post_stream import Entry
from collector.domain.outcome import Outcome, Tally, UnderstoodBatch
from collector.domain.understanding import Rules
from collector.process.clock import Clock
from collector.process.lifecycle import Stop
from collector.process.metrics import WorkerMetrics
from worker.batch import understood
from worker.retry import Cause, cause_of, delay_seconds

FORGET_CONSUMER_MS: Final = 3_600_000
"""A consumer that holds nothing and was silent for an hour is dead, or comes back as if it were new."""
_CLAIMS_PER_IDLE_TIME: Final = 3

Result = TypeVar("Result")

_log = structlog.get_logger()


class Stream(Protocol):
    """What the worker needs of the stream. Raises BrokerUnavailable and BrokerFull."""

    async def ensure_group(self) -> None:
        """Make the consumer group where it is missing."""
        ...

    async def read(self, consumer: str, count: int, block_ms: int) -> list[Entry]:
        """New entries, or none when the time is up."""
        ...

    async def claim(self, consumer: str, idle_ms: int, count: int) -> list[Entry]:
        """Entries that another consumer has held for too long."""
        ...

    async def acknowledge(self, entries: Sequence[Entry]) -> None:
        """Remove entries for good."""
        ...

    async def remove_dead_consumers(self, idle_ms: int) -> int:
        """Forget consumers that hold nothing and are silent."""
        ...


class Store(Protocol):
    """What the worker needs of the store."""

    async def save(self, batches: Sequence[UnderstoodBatch]) -> Tally:
        """Store each batch once, all or nothing. Raises DatabaseUnavailable."""
        ...


@dataclass(frozen=True, slots=True)
class Pace:
    """How much at once, how long to wait for it, and when a silent consumer counts as dead."""

    batch_entries: int = 32
    read_block_ms: int = 1000
    claim_idle_seconds: float = 15.0


class Stopped(Exception):  # noqa: N818 - an order, not a fault
    """The worker was told to stop while something failed; what is in hand stays in the stream."""


@dataclass(slots=True)
class Consumer:
    """One member of the consumer group. `trouble` says what fails just now, in words for an operator."""

    name: str
    stream: Stream
    store: Store
    rules: Rules
    metrics: WorkerMetrics
    clock: Clock
    pace: Pace = field(default_factory=Pace)
    trouble: str | None = field(default=None, init=False)
    _claim_at: float = field(default=0.0, init=False)

    async def run(self, stop: Stop) -> None:
        """Work until told to stop; the batch in hand is finished first, unless it fails.

        Cancelled at any moment, what is not acknowledged stays in the stream for another worker.
        """
        try:
            await self._insist(self._join, stop)
            while not stop.is_requested:
                if entries := await self._insist(self._next_entries, stop):
                    await self._finish(entries, stop)
        except Stopped:
            _log.warning("stopped in trouble; what was in hand stays in the stream", trouble=self.trouble)

    async def _finish(self, entries: Sequence[Entry], stop: Stop) -> None:
        """Store everything that became of the entries in one transaction, then acknowledge them.

        A crash in between replays them; the store knows their batch ids and repeats nothing.
        """
        self._count(await self._insist(lambda: self._save(entries), stop))
        await self._insist(lambda: self.stream.acknowledge(entries), stop)

    async def _save(self, entries: Sequence[Entry]) -> Tally:
        """Understood anew at each attempt, so that an outage holds no rows in memory."""
        batches = understood(entries, self.rules)
        started = self.clock.monotonic()
        tally = await self.store.save(batches)
        self.metrics.store_seconds.observe(self.clock.monotonic() - started)
        return tally

    async def _join(self) -> None:
        try:
            await self.stream.ensure_group()
        except BrokerFull:
            # No group can be made now; as a rule it exists, and reading tells otherwise.
            _log.warning("the queue is full; the consumer group could not be checked")

    async def _next_entries(self) -> list[Entry]:
        """What a dead worker left behind, when it is time to look; else new entries, or none for a while."""
        if self.clock.monotonic() >= self._claim_at:
            if claimed := await self._claim():
                return claimed
            self._claim_at = self.clock.monotonic() + self.pace.claim_idle_seconds / _CLAIMS_PER_IDLE_TIME
        return await self.stream.read(self.name, self.pace.batch_entries, self.pace.read_block_ms)

    async def _claim(self) -> list[Entry]:
        idle_ms = int(self.pace.claim_idle_seconds * 1000)
        claimed = await self.stream.claim(self.name, idle_ms, self.pace.batch_entries)
        if claimed:
            self.metrics.entries_claimed.inc(len(claimed))
            _log.info("took over entries of a silent worker", entries=len(claimed))
        else:
            await self.stream.remove_dead_consumers(FORGET_CONSUMER_MS)
        return claimed

    async def _insist(self, action: Callable[[], Awaitable[Result]], stop: Stop) -> Result:
        """Try until it succeeds; raises Stopped when the worker is told to stop meanwhile."""
        failures = 0
        while True:
            try:
                result = await action()
            except Exception as error:
                failures += 1
                self._notice(error)
                jitter = random.random()  # noqa: S311 - spreads workers, guards nothing
                if await stop.sleep(delay_seconds(failures, jitter)):
                    raise Stopped from error
            else:
                self._recover()
                return result

    def _notice(self, error: Exception) -> None:
        cause = cause_of(error)
        self.metrics.store_failures.labels(cause).inc()
        if cause is Cause.UNFORESEEN:
            _log.error("unforeseen failure; it is repeated until it succeeds", exc_info=error)
        elif self.trouble is None:
            _log.warning("waiting", cause=cause, error=str(error))
        self.trouble = f"{cause}: {error}"

    def _recover(self) -> None:
        if self.trouble is not None:
            _log.info("going on", after=self.trouble)
            self.trouble = None

    def _count(self, tally: Tally) -> None:
        counts = {
            Outcome.STORED: tally.stored,
            Outcome.DUPLICATE: tally.duplicate,
            Outcome.DISCARDED: tally.discarded,
            Outcome.DEAD_LETTERED: tally.dead_lettered,
        }
        for outcome, number in counts.items():
            self.metrics.events.labels(outcome).inc(number)
        self.metrics.batches_replayed.inc(tally.replayed)
        self.metrics.batches_repeated.inc(tally.repeated)

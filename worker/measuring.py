"""Measures how old events are when they are stored, and when another connection can read them."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Final
from uuid import UUID

from collector.database.errors import DatabaseUnavailable
from collector.domain.event.outcome import NormalizedBatch, Tally
from collector.domain.ids import accepted_ms
from collector.process.clock import Clock
from collector.process.metrics import WorkerMetrics
from worker.consumer import Store

READ_SECONDS: Final = 1.0
"""How often at most an event is read back."""


class MeasuringStore:
    """A store that measures the age of the events of each committed transaction.

    `is_readable` finds an event by its id. Ages are by this machine's clock; a negative one counts as none.
    """

    def __init__(
        self,
        store: Store,
        is_readable: Callable[[UUID], Awaitable[bool]],
        metrics: WorkerMetrics,
        clock: Clock,
    ) -> None:
        self._store = store
        self._is_readable = is_readable
        self._metrics = metrics
        self._clock = clock
        self._read_at = 0.0

    def held_projects(self) -> Collection[bytes]:
        """The ids of the projects whose posts are held instead of stored."""
        return self._store.held_projects()

    async def save(self, batches: Sequence[NormalizedBatch]) -> Tally:
        """Store the batches and measure their events."""
        tally = await self._store.save(batches)
        # Replays and repeats were measured when they were stored, duplicates as their originals.
        if not tally.stored:
            return tally
        now_ms = self._clock.now_ms()
        for batch in batches:
            if batch.events:
                age = max(0, now_ms - accepted_ms(batch.events[0].id)) / 1000
                self._metrics.accepted_to_stored_seconds.observe(age, len(batch.events))
        if self._clock.monotonic() - self._read_at >= READ_SECONDS:
            self._read_at = self._clock.monotonic()
            await self._read_back(next(batch.events[-1].id for batch in reversed(batches) if batch.events))
        return tally

    async def _read_back(self, event_id: bytes) -> None:
        try:
            is_readable = await self._is_readable(UUID(bytes=event_id))
        except DatabaseUnavailable:
            return  # what is stored is stored; the next transaction reports the outage
        # A duplicate, or an event of a discarded stack, never is.
        if is_readable:
            age = max(0, self._clock.now_ms() - accepted_ms(event_id)) / 1000
            self._metrics.accepted_to_readable_seconds.observe(age)

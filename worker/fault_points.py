"""Wraps the stream and the store so that crash tests can kill the worker at chosen points."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from collector.broker.queue.post_stream import PackedEntry, StreamEntry
from collector.domain.event.outcome import NormalizedBatch, Tally
from collector.process.faults import FaultPoint, FaultPoints
from worker.consumer import Store, Stream


def with_fault_points(stream: Stream, store: Store, faults: FaultPoints) -> tuple[Stream, Store]:
    """The stream and the store, wrapped only while a crash test runs."""
    if faults.directory is None:
        return stream, store
    return _MortalStream(stream, faults), _MortalStore(store, faults)


@dataclass(frozen=True, slots=True)
class _MortalStream:
    stream: Stream
    faults: FaultPoints

    async def ensure_group(self) -> None:
        await self.stream.ensure_group()

    async def read(self, consumer: str, count: int, block_ms: int, worth_bytes: int) -> list[PackedEntry]:
        entries = await self.stream.read(consumer, count, block_ms, worth_bytes)
        if entries:
            self.faults.reach(FaultPoint.AFTER_READ)
        return entries

    async def claim(
        self,
        consumer: str,
        idle_ms: int,
        count: int,
        worth_bytes: int,
        in_hand: Collection[tuple[int, str]],
    ) -> list[PackedEntry]:
        entries = await self.stream.claim(consumer, idle_ms, count, worth_bytes, in_hand)
        if entries:
            self.faults.reach(FaultPoint.AFTER_CLAIM)
        return entries

    async def keep(self, consumer: str, in_hand: Collection[tuple[int, str]]) -> None:
        await self.stream.keep(consumer, in_hand)

    async def acknowledge(self, entries: Sequence[StreamEntry | PackedEntry]) -> None:
        await self.stream.acknowledge(entries)

    async def remove_dead_consumers(self, idle_ms: int) -> int:
        return await self.stream.remove_dead_consumers(idle_ms)


@dataclass(frozen=True, slots=True)
class _MortalStore:
    store: Store
    faults: FaultPoints

    def held_projects(self) -> Collection[bytes]:
        return self.store.held_projects()

    async def save(self, batches: Sequence[NormalizedBatch]) -> Tally:
        tally = await self.store.save(batches)
        self.faults.reach(FaultPoint.AFTER_COMMIT)
        return tally

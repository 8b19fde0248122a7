"""The loop from the stream to the store: read, understand, save, acknowledge.

Nothing is acknowledged before it is committed, and whatever fails is tried again until the worker is told to
stop. Entries that a dead worker left behind are taken over; met twice, they are stored once.
"""

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, NamedTuple, Protocol

import structlog

from collector.broker.bounded_reads import SHARED_DELIVERIES
from collector.broker.errors import BrokerFull, BrokerUnavailable
from collector.broker.post_stream import PackedEntry, StreamEntry
from collector.domain.event.outcome import NormalizedBatch, Outcome, Tally
from collector.domain.intake.normalize import MAX_EXPANSION, Rules
from collector.domain.project.rules import ProjectRules
from collector.process.clock import Clock
from collector.process.lifecycle import Stop
from collector.process.metrics import WorkerMetrics
from worker.batch import TRANSACTION_WEIGHT, Piece, is_large, normalize_piece, projects_of
from worker.insistence import Retrier, Stopped
from worker.retry import Cause
from worker.room import Room

FORGET_CONSUMER_MS: Final = 3_600_000
"""A consumer that holds nothing and was silent for an hour is dead, or comes back as if it were new."""
LANES: Final = 3
"""With two Postgres is idle for a sixth of the time, with three never: 7 to 20 % more events."""
_CLAIMS_PER_IDLE_TIME: Final = 3
MOST_DELIVERIES: Final = 10
"""An entry that no worker has finished by then is a dead letter: the last of them had it alone in hand."""
_WORTH_A_TRANSACTION_BYTES: Final = 1 << 20
"""128 entries of 32 small events in place of 32 cost the worker 1.7 us and Postgres 2 us less an event."""
_QUICK_BYTES: Final = 1 << 20
"""Unpacked in a millisecond or two."""
_KEPT_SECONDS: Final = 300.0
"""Longer than any entry takes: another worker may have what is in hand for longer."""

_log = structlog.get_logger()


class Stream(Protocol):
    """What the worker needs of the stream. Raises BrokerUnavailable and BrokerFull."""

    async def ensure_group(self) -> None:
        """Make the consumer group where it is missing."""
        ...

    async def read(self, consumer: str, count: int, block_ms: int, worth_bytes: int) -> list[PackedEntry]:
        """New entries, until they are worth so many bytes unpacked, or none when the time is up."""
        ...

    async def claim(
        self,
        consumer: str,
        idle_ms: int,
        count: int,
        worth_bytes: int,
        in_hand: Collection[tuple[int, str]],
    ) -> list[PackedEntry]:
        """Entries that were held for too long, but not those in hand; one delivered often comes alone."""
        ...

    async def keep(self, consumer: str, in_hand: Collection[tuple[int, str]]) -> None:
        """Let nobody take over these entries for a while."""
        ...

    async def acknowledge(self, entries: Sequence[StreamEntry | PackedEntry]) -> None:
        """Remove entries for good."""
        ...

    async def remove_dead_consumers(self, idle_ms: int) -> int:
        """Forget consumers that hold nothing and are silent."""
        ...


class Store(Protocol):
    """What the worker needs of the store."""

    def held_projects(self) -> Collection[bytes]:
        """The projects whose posts are to be held."""
        ...

    async def save(self, batches: Sequence[NormalizedBatch]) -> Tally:
        """Store each batch once, all or nothing. Raises DatabaseUnavailable and MostlyRefused.

        After MostlyRefused the project is among the held ones: repeated without its events, it succeeds.
        """
        ...


class Projects(Protocol):
    """What the worker needs of projects."""

    async def rules_of(self, project_ids: Collection[bytes]) -> Mapping[bytes, ProjectRules]:
        """The rules of those of the projects that there are. Raises DatabaseUnavailable."""
        ...


@dataclass(frozen=True, slots=True)
class Pace:
    """How much at once, how long to wait for it, when a silent consumer is dead, how much to unpack."""

    batch_entries: int = 256
    read_block_ms: int = 1000
    claim_idle_seconds: float = 15.0
    unpacked_bytes: int = 32 << 20


@dataclass(slots=True)
class Consumer:
    """One member of the consumer group, in several slots: while one stores, another reads and understands.

    Only one at a time understands. Otherwise all of them would, taking turns by the entry, and then all would
    store: Postgres was idle half of the time.
    """

    name: str
    stream: Stream
    store: Store
    projects: Projects
    rules: Rules
    metrics: WorkerMetrics
    clock: Clock
    pace: Pace = field(default_factory=Pace)
    _slots: list[Retrier] = field(init=False)
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)
    _understanding: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)
    room: Room = field(init=False)
    in_hand: dict[tuple[int, str], "_Held"] = field(default_factory=dict, init=False)
    _processed: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _is_member: bool = field(default=False, init=False)
    _largest_limit_bytes: int = field(default=0, init=False)
    _claim_at: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self._slots = [Retrier(self.metrics) for _ in range(LANES)]
        self.room = Room(self.pace.unpacked_bytes)

    @property
    def trouble(self) -> str | None:
        """What fails just now, in words for an operator."""
        return next((slot.trouble for slot in self._slots if slot.trouble is not None), None)

    async def run(self, stop: Stop) -> None:
        """Work until told to stop; what is in hand is finished first, unless it fails.

        Cancelled at any moment, what is not acknowledged stays in the stream for another worker.
        """
        async with asyncio.TaskGroup() as tasks:
            keeping = tasks.create_task(self._keep())
            async with asyncio.TaskGroup() as working:
                for slot in self._slots:
                    working.create_task(self._work(slot, stop))
            keeping.cancel()

    async def _work(self, slot: Retrier, stop: Stop) -> None:
        try:
            while entries := await self._read(slot, stop):
                await self._finish(entries, slot, stop)
        except Stopped:
            _log.warning("stopped in trouble; what was in hand stays in the stream", trouble=slot.trouble)

    async def _read(self, slot: Retrier, stop: Stop) -> list[PackedEntry]:
        """The next entries, for one slot at a time; none when the worker is told to stop."""
        async with self._reading:
            if not self._is_member:
                await slot.run(self._join, stop)
                self._is_member = True
            while not stop.is_requested:
                if entries := await slot.run(self._next_entries, stop):
                    held = _Held(slot, self.clock.monotonic())
                    self.in_hand.update(dict.fromkeys(map(_place, entries), held))
                    if entries[0].deliveries <= SHARED_DELIVERIES:
                        return entries
                    await self._finish_alone(entries, slot, stop)
        return []

    async def _finish_alone(self, entries: Sequence[PackedEntry], slot: Retrier, stop: Stop) -> None:
        """With nothing else in hand, while no slot reads: if the worker dies now, it dies of this entry."""
        entry = entries[0]
        _log.warning(
            "an entry was delivered often and is worked on alone",
            shard=entry.shard,
            entry=entry.id,
            deliveries=entry.deliveries,
        )
        while len(self.in_hand) > len(entries):
            self._processed.clear()
            await self._processed.wait()
        await self._finish(entries, slot, stop)

    async def _finish(self, entries: Sequence[PackedEntry], slot: Retrier, stop: Stop) -> None:
        """Unpack the entries, as many as there is room for, and store what became of them."""
        try:
            for some in _fitting(entries, self.pace.unpacked_bytes):
                async with self.room.hold(_size(some)):
                    await self._finish_unpacked(await _unpacked(some), slot, stop)
        finally:
            for entry in entries:
                self.in_hand.pop(_place(entry), None)
            self._processed.set()

    async def _finish_unpacked(self, entries: Sequence[StreamEntry], slot: Retrier, stop: Stop) -> None:
        """Store what became of the entries, as a rule in one transaction, then acknowledge them.

        A crash in between replays them; the store knows their batch ids and repeats nothing.
        """
        begin = _Position(0, 0)
        while begin.entry < len(entries):
            tally, end = await slot.run(partial(self._save, entries, begin), stop)
            self._count(tally)
            if processed := entries[begin.entry : end.entry]:
                await slot.run(partial(self.stream.acknowledge, processed), stop)
            begin = end

    async def _save(self, entries: Sequence[StreamEntry], begin: "_Position") -> tuple[Tally, "_Position"]:
        """Store one transaction's worth, and say where the next one begins.

        Understood anew at each attempt, so that an outage holds no rows in memory.
        """
        projects = await self.projects.rules_of(projects_of(entries[begin.entry :]))
        async with self._understanding:
            batches, end = await self._normalized(entries, begin, projects)
        started = self.clock.monotonic()
        tally = await self.store.save(batches)
        self.metrics.store_seconds.observe(self.clock.monotonic() - started)
        return tally, end

    async def _normalized(
        self, entries: Sequence[StreamEntry], begin: "_Position", projects: Mapping[bytes, ProjectRules]
    ) -> tuple[list[NormalizedBatch], "_Position"]:
        """One transaction's worth from the position on, and where the next one begins."""
        batches: list[NormalizedBatch] = []
        weight = 0
        end = begin
        while end.entry < len(entries) and weight < TRANSACTION_WEIGHT:
            piece = await self._normalize(entries[end.entry], end.post, projects)
            batches += piece.batches
            weight += piece.weight
            end = end.after(piece)
        return batches, end

    async def _normalize(
        self, entry: StreamEntry, first_post: int, projects: Mapping[bytes, ProjectRules]
    ) -> Piece:
        """A large one in a thread: health, the sweep and another slot's rows do not wait for it."""
        rules = self.rules.accepting(entry.body_limit_bytes)
        if rules is not self.rules:
            self._notice_limit(entry.body_limit_bytes)
        held = self.store.held_projects()
        if is_large(entry):
            return await asyncio.to_thread(normalize_piece, entry, first_post, rules, projects, held)
        await asyncio.sleep(0)  # another slot's rows go on their way to Postgres meanwhile
        return normalize_piece(entry, first_post, rules, projects, held)

    def _notice_limit(self, body_limit_bytes: int) -> None:
        """Once for each larger limit: it is no reason to store less than was accepted."""
        if body_limit_bytes > self._largest_limit_bytes:
            self._largest_limit_bytes = body_limit_bytes
            own = self.rules.unpacked_limit_bytes // MAX_EXPANSION
            _log.warning(
                f"HEADRACE_BODY_LIMIT_BYTES is {own} here and {body_limit_bytes} at an ingest;"
                " its posts are unpacked within its limit"
            )

    async def _join(self) -> None:
        try:
            await self.stream.ensure_group()
        except BrokerFull:
            # No group can be made now; as a rule it exists, and reading tells otherwise.
            _log.warning("the queue is full; the consumer group could not be checked")

    async def _next_entries(self) -> list[PackedEntry]:
        """What a dead worker left behind, when it is time to look; else new entries, or none for a while."""
        if self.clock.monotonic() >= self._claim_at and not self._is_database_gone:
            if claimed := await self._claim():
                return claimed
            self._claim_at = self.clock.monotonic() + self._keep_seconds
        return await self.stream.read(
            self.name, self.pace.batch_entries, self.pace.read_block_ms, _WORTH_A_TRANSACTION_BYTES
        )

    async def _claim(self) -> list[PackedEntry]:
        idle_ms = int(self.pace.claim_idle_seconds * 1000)
        claimed = await self.stream.claim(
            self.name, idle_ms, self.pace.batch_entries, _WORTH_A_TRANSACTION_BYTES, self.in_hand
        )
        if claimed:
            self.metrics.entries_claimed.inc(len(claimed))
            _log.info("took over entries of a silent worker", entries=len(claimed))
        else:
            await self.stream.remove_dead_consumers(FORGET_CONSUMER_MS)
        return claimed

    @property
    def _is_database_gone(self) -> bool:
        """Then entries would only be delivered once more: nobody can store them."""
        gone = (Cause.DATABASE_UNAVAILABLE, Cause.BROKER_UNAVAILABLE)
        return any(slot.trouble is not None and slot.trouble.startswith(gone) for slot in self._slots)

    @property
    def _keep_seconds(self) -> float:
        return self.pace.claim_idle_seconds / _CLAIMS_PER_IDLE_TIME

    async def _keep(self) -> None:
        """Again and again, so that no other worker computes what this one does."""
        while True:
            await asyncio.sleep(self._keep_seconds)
            await self.keep_in_hand()

    async def keep_in_hand(self) -> None:
        """Tell other workers of what takes long here, for a bounded time; what fails here they may have."""
        now = self.clock.monotonic()
        kept = [
            place
            for place, held in self.in_hand.items()
            if held.slot.trouble is None and self._keep_seconds <= now - held.since <= _KEPT_SECONDS
        ]
        if not kept:
            return
        try:
            await self.stream.keep(self.name, kept)
        except (BrokerUnavailable, BrokerFull) as error:
            _log.warning("entries in hand could not be kept from other workers", error=str(error))

    def _count(self, tally: Tally) -> None:
        counts = {
            Outcome.STORED: tally.stored,
            Outcome.DUPLICATE: tally.duplicate,
            Outcome.DISCARDED: tally.discarded,
            Outcome.DEAD_LETTERED: tally.dead_lettered,
        }
        for outcome, number in counts.items():
            self.metrics.events.labels(outcome).inc(number)
        self.metrics.events_derived.inc(tally.derived)
        self.metrics.batches_replayed.inc(tally.replayed)
        self.metrics.batches_repeated.inc(tally.repeated)


class _Position(NamedTuple):
    """How far the entries in hand are stored: up to a post of one of them."""

    entry: int
    post: int

    def after(self, piece: Piece) -> "_Position":
        """The position behind a piece of this entry."""
        return (
            _Position(self.entry + 1, 0) if piece.next_post is None else self._replace(post=piece.next_post)
        )


class _Held(NamedTuple):
    """Who has an entry in hand, and since when."""

    slot: Retrier
    since: float


def _place(entry: PackedEntry) -> tuple[int, str]:
    return entry.shard, entry.id


def _size(entries: Sequence[PackedEntry]) -> int:
    return sum(entry.unpacked_bytes for entry in entries)


def _fitting(entries: Sequence[PackedEntry], limit_bytes: int) -> Iterator[list[PackedEntry]]:
    """The entries in order, together as many as fit; one that is too large for that alone."""
    some: list[PackedEntry] = []
    room = limit_bytes
    for entry in entries:
        room -= entry.unpacked_bytes
        if some and room < 0:
            yield some
            some, room = [], limit_bytes - entry.unpacked_bytes
        some.append(entry)
    if some:
        yield some


async def _unpacked(entries: Sequence[PackedEntry]) -> list[StreamEntry]:
    """Many bytes in a thread: nothing else waits for them."""
    if _size(entries) < _QUICK_BYTES:
        return list(map(_open, entries))
    return await asyncio.to_thread(lambda: list(map(_open, entries)))


def _open(entry: PackedEntry) -> StreamEntry:
    if entry.deliveries > MOST_DELIVERIES:
        return entry.given_up(f"{entry.deliveries} deliveries, and no worker has finished it.")
    return entry.unpacked()

"""The loop from the stream to the store: read, understand, save, acknowledge.

Nothing is acknowledged before it is committed, and whatever fails is tried again until the worker is told to
stop. Entries that a dead worker left behind are taken over; met twice, they are stored once.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, NamedTuple, Protocol

import structlog

from collector.broker.errors import BrokerFull, BrokerUnavailable
from collector.broker.post_stream import Entry
from collector.domain.outcome import Outcome, Tally, UnderstoodBatch
from collector.domain.project_rules import ProjectRules
from collector.domain.understanding import UNPACKED_TO_SENT, Rules
from collector.process.clock import Clock
from collector.process.lifecycle import Stop
from collector.process.metrics import WorkerMetrics
from worker.batch import TRANSACTION_WEIGHT, Piece, bytes_of, is_large, projects_of, understand_piece
from worker.insistence import Insistence, Stopped

FORGET_CONSUMER_MS: Final = 3_600_000
"""A consumer that holds nothing and was silent for an hour is dead, or comes back as if it were new."""
LANES: Final = 3
"""With two Postgres is idle for a sixth of the time, with three never: 7 to 20 % more events."""
_CLAIMS_PER_IDLE_TIME: Final = 3
_ENTRIES_AT_ONCE: Final = 32
"""Each may hold 4 MB: so many can be in hand, however many small ones make a transaction."""
_WORTH_A_TRANSACTION_BYTES: Final = 1 << 20
"""128 entries of 32 small events in place of 32 cost the worker 1.7 us and Postgres 2 us less an event."""
_NO_WAIT_MS: Final = 1

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
        """Store each batch once, all or nothing. Raises DatabaseUnavailable and MostlyRefused."""
        ...


class Projects(Protocol):
    """What the worker needs of projects."""

    async def rules_of(self, project_ids: Collection[bytes]) -> Mapping[bytes, ProjectRules]:
        """The rules of those of the projects that there are. Raises DatabaseUnavailable."""
        ...


@dataclass(frozen=True, slots=True)
class Pace:
    """How much at once, how long to wait for it, and when a silent consumer counts as dead."""

    batch_entries: int = 256
    read_block_ms: int = 1000
    claim_idle_seconds: float = 15.0


@dataclass(slots=True)
class Consumer:
    """One member of the consumer group, in several lanes: while one stores, another reads and understands.

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
    _lanes: list[Insistence] = field(init=False)
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)
    _understanding: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)
    _in_hand: set[tuple[int, str]] = field(default_factory=set, init=False)
    _is_member: bool = field(default=False, init=False)
    _largest_limit_bytes: int = field(default=0, init=False)
    _claim_at: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self._lanes = [Insistence(self.metrics) for _ in range(LANES)]

    @property
    def trouble(self) -> str | None:
        """What fails just now, in words for an operator."""
        return next((lane.trouble for lane in self._lanes if lane.trouble is not None), None)

    async def run(self, stop: Stop) -> None:
        """Work until told to stop; what is in hand is finished first, unless it fails.

        Cancelled at any moment, what is not acknowledged stays in the stream for another worker.
        """
        async with asyncio.TaskGroup() as tasks:
            for lane in self._lanes:
                tasks.create_task(self._work(lane, stop))

    async def _work(self, lane: Insistence, stop: Stop) -> None:
        try:
            while entries := await self._read(lane, stop):
                await self._finish(entries, lane, stop)
        except Stopped:
            _log.warning("stopped in trouble; what was in hand stays in the stream", trouble=lane.trouble)

    async def _read(self, lane: Insistence, stop: Stop) -> list[Entry]:
        """The next entries, for one lane at a time; none when the worker is told to stop."""
        async with self._reading:
            if not self._is_member:
                await lane.insist(self._join, stop)
                self._is_member = True
            while not stop.is_requested:
                if entries := await lane.insist(self._next_entries, stop):
                    self._in_hand.update(map(_place, entries))
                    return entries
        return []

    async def _finish(self, entries: Sequence[Entry], lane: Insistence, stop: Stop) -> None:
        """Store what became of the entries, as a rule in one transaction, then acknowledge them.

        A crash in between replays them; the store knows their batch ids and repeats nothing.
        """
        try:
            begin = _Position(0, 0)
            while begin.entry < len(entries):
                tally, end = await lane.insist(partial(self._save, entries, begin), stop)
                self._count(tally)
                if finished := entries[begin.entry : end.entry]:
                    await lane.insist(partial(self.stream.acknowledge, finished), stop)
                begin = end
        finally:
            self._in_hand.difference_update(map(_place, entries))

    async def _save(self, entries: Sequence[Entry], begin: "_Position") -> tuple[Tally, "_Position"]:
        """Store one transaction's worth, and say where the next one begins.

        Understood anew at each attempt, so that an outage holds no rows in memory.
        """
        projects = await self.projects.rules_of(projects_of(entries[begin.entry :]))
        async with self._understanding:
            batches, end = await self._understood(entries, begin, projects)
        started = self.clock.monotonic()
        tally = await self.store.save(batches)
        self.metrics.store_seconds.observe(self.clock.monotonic() - started)
        return tally, end

    async def _understood(
        self, entries: Sequence[Entry], begin: "_Position", projects: Mapping[bytes, ProjectRules]
    ) -> tuple[list[UnderstoodBatch], "_Position"]:
        """One transaction's worth from the position on, and where the next one begins."""
        batches: list[UnderstoodBatch] = []
        weight = 0
        end = begin
        while end.entry < len(entries) and weight < TRANSACTION_WEIGHT:
            piece = await self._understand(entries[end.entry], end.post, projects)
            batches += piece.batches
            weight += piece.weight
            end = end.after(piece)
        return batches, end

    async def _understand(
        self, entry: Entry, first_post: int, projects: Mapping[bytes, ProjectRules]
    ) -> Piece:
        """A large one in a thread: health, the sweep and another lane's rows do not wait for it."""
        rules = self.rules.accepting(entry.body_limit_bytes)
        if rules is not self.rules:
            self._notice_limit(entry.body_limit_bytes)
        if is_large(entry):
            return await asyncio.to_thread(understand_piece, entry, first_post, rules, projects)
        await asyncio.sleep(0)  # another lane's rows go on their way to Postgres meanwhile
        return understand_piece(entry, first_post, rules, projects)

    def _notice_limit(self, body_limit_bytes: int) -> None:
        """Once for each larger limit: it is no reason to store less than was accepted."""
        if body_limit_bytes > self._largest_limit_bytes:
            self._largest_limit_bytes = body_limit_bytes
            own = self.rules.unpacked_limit_bytes // UNPACKED_TO_SENT
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

    async def _next_entries(self) -> list[Entry]:
        """What a dead worker left behind, when it is time to look; else new entries, or none for a while."""
        if self.clock.monotonic() >= self._claim_at:
            if claimed := await self._claim():
                return claimed
            self._claim_at = self.clock.monotonic() + self.pace.claim_idle_seconds / _CLAIMS_PER_IDLE_TIME
        return await self._read_on()

    async def _read_on(self) -> list[Entry]:
        """New entries, a few at a time until they are worth a transaction: small ones are to be many."""
        at_once = min(_ENTRIES_AT_ONCE, self.pace.batch_entries)
        entries = found = await self.stream.read(self.name, at_once, self.pace.read_block_ms)
        missing_bytes = _WORTH_A_TRANSACTION_BYTES
        while len(found) >= at_once and len(entries) < self.pace.batch_entries:
            missing_bytes -= sum(map(bytes_of, found))
            if missing_bytes <= 0:
                break
            try:
                found = await self.stream.read(self.name, at_once, _NO_WAIT_MS)
            except BrokerUnavailable:
                break  # the next read tells; what is in hand is stored first
            entries += found
        return entries

    async def _claim(self) -> list[Entry]:
        idle_ms = int(self.pace.claim_idle_seconds * 1000)
        claimed = [
            entry
            for entry in await self.stream.claim(self.name, idle_ms, self.pace.batch_entries)
            if _place(entry) not in self._in_hand  # of another lane that takes its time
        ]
        if claimed:
            self.metrics.entries_claimed.inc(len(claimed))
            _log.info("took over entries of a silent worker", entries=len(claimed))
        else:
            await self.stream.remove_dead_consumers(FORGET_CONSUMER_MS)
        return claimed

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


def _place(entry: Entry) -> tuple[int, str]:
    return entry.shard, entry.id

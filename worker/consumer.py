"""The loop from the stream to the store: read, normalize, save, acknowledge.

Nothing is acknowledged before it is committed, and every failure is retried until the worker has to stop,
except that of a few entries: their posts are held.
Entries of a dead worker are taken over; an entry read twice is stored once.
"""

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Final, NamedTuple, Protocol
from uuid import UUID

import structlog

from collector.broker.errors import BrokerFull, BrokerUnavailable
from collector.broker.queue.bounded_reads import SHARED_DELIVERIES
from collector.broker.queue.post_stream import PackedEntry, StreamEntry
from collector.domain.event.outcome import NormalizedBatch, Tally
from collector.domain.intake.normalize import MAX_EXPANSION, Rules
from collector.domain.project.rules import ProjectRules
from collector.process.clock import Clock
from collector.process.lifecycle import Stop
from collector.process.metrics import WorkerMetrics
from worker.batch import TRANSACTION_WEIGHT, Piece, is_large, normalize_piece, project_ids
from worker.gate import Gate
from worker.holding import Holding
from worker.retry import Cause, Retrier, Stopped, cause_of
from worker.room import Room
from worker.turns import Turns

FORGET_CONSUMER_MS: Final = 3_600_000
"""A consumer that holds nothing and was silent for an hour is dead; one that returns starts as new."""
SLOTS: Final = 3
"""With two slots Postgres is idle a sixth of the time, with three never: 7 to 20 % more events."""
_CLAIMS_PER_IDLE_TIME: Final = 3
MOST_DELIVERIES: Final = 10
"""An entry not finished by then becomes a dead letter; the last worker had nothing else in hand."""
_WORTH_A_TRANSACTION_BYTES: Final = 1 << 20
"""Reading 128 entries of 32 small events instead of 32 saves 1.7 us an event here and 2 us in Postgres."""
_QUICK_BYTES: Final = 1 << 20
"""Unpacked in a millisecond or two."""
_KEPT_SECONDS: Final = 300.0
"""Longer than any entry takes; after that another worker may claim it."""
_MOST_NAMED: Final = 1000
"""Projects whose posts cannot be normalized; the first of each is logged, further ones are only counted."""
_PROJECTS_NAMED: Final = 10
"""In a line of the log."""
_OUTAGES: Final = (Cause.DATABASE_UNAVAILABLE, Cause.BROKER_UNAVAILABLE)

_log = structlog.get_logger()


class Stream(Protocol):
    """The part of the stream that the worker needs. Raises BrokerUnavailable and BrokerFull."""

    async def ensure_group(self) -> None:
        """Create the consumer group if it is missing."""
        ...

    async def read(self, consumer: str, count: int, block_ms: int, worth_bytes: int) -> list[PackedEntry]:
        """New entries, up to `worth_bytes` unpacked; none after `block_ms`."""
        ...

    async def claim(
        self,
        consumer: str,
        idle_ms: int,
        count: int,
        worth_bytes: int,
        in_hand: Collection[tuple[int, str]],
    ) -> list[PackedEntry]:
        """Take over entries held for `idle_ms`, except those in hand; one delivered often comes alone."""
        ...

    async def keep(self, consumer: str, in_hand: Collection[tuple[int, str]]) -> None:
        """Reset the idle time of these entries, so that no other consumer claims them for a while."""
        ...

    async def acknowledge(self, entries: Sequence[StreamEntry | PackedEntry]) -> None:
        """Acknowledge the entries and delete them from the stream."""
        ...

    async def remove_dead_consumers(self, idle_ms: int) -> int:
        """Remove consumers that hold nothing and have been silent for `idle_ms`."""
        ...


class Store(Protocol):
    """The part of the store that the worker needs."""

    def held_projects(self) -> Collection[bytes]:
        """The ids of the projects whose posts are held instead of stored."""
        ...

    async def save(self, batches: Sequence[NormalizedBatch]) -> Tally:
        """Store each batch once, all or nothing. Raises DatabaseUnavailable and TooManyRejected.

        After TooManyRejected the project is among the held ones: a retry without its events succeeds.
        """
        ...


class Projects(Protocol):
    """Where the worker finds the rules of projects."""

    async def rules_for(self, project_ids: Collection[bytes]) -> Mapping[bytes, ProjectRules]:
        """The rules of those projects that exist, by id. Raises DatabaseUnavailable."""
        ...


@dataclass(frozen=True, slots=True)
class Pace:
    """Entries in a read, how long it waits, when a silent consumer counts as dead, memory to unpack in."""

    batch_entries: int = 256
    read_block_ms: int = 1000
    claim_idle_seconds: float = 15.0
    unpacked_bytes: int = 32 << 20


@dataclass(slots=True)
class Consumer:
    """One member of a lane's consumer groups, in several slots: while one stores, another reads and parses.

    A worker has one for each lane; they share only `gate`, `turns` and `holding`, so that no lane's backlog
    delays another.

    A lock lets one slot parse at a time. When all parsed together they also stored together, and Postgres sat
    idle half the time.
    """

    name: str
    stream: Stream
    store: Store
    projects: Projects
    rules: Rules
    metrics: WorkerMetrics
    clock: Clock
    pace: Pace = field(default_factory=Pace)
    lane: int = 0
    gate: Gate = field(default_factory=Gate)
    turns: Turns = field(default_factory=Turns)
    holding: Holding = field(default_factory=Holding)
    _slots: list[Retrier] = field(init=False)
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)
    _parsing: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)
    room: Room = field(init=False)
    row_room: Room = field(init=False)
    in_hand: dict[tuple[int, str], "_Held"] = field(default_factory=dict, init=False)
    _is_member: bool = field(default=False, init=False)
    _largest_limit_bytes: int = field(default=0, init=False)
    _claim_at: float = field(default=0.0, init=False)
    _named: set[bytes] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        self._slots = [Retrier(self.metrics) for _ in range(SLOTS)]
        self.room = Room(self.pace.unpacked_bytes)
        self.row_room = Room(self.pace.unpacked_bytes)

    @property
    def last_error(self) -> str | None:
        """What is failing now, for operators; None while every slot works."""
        return next((slot.last_error for slot in self._slots if slot.last_error is not None), None)

    async def run(self, stop: Stop) -> None:
        """Work until `stop` is requested; entries in hand are finished first, unless storing them fails.

        Cancelled at any moment, it leaves what is not acknowledged in the stream for another worker.
        """
        # The inner group ends when every slot has finished its entries; until then claims are extended.
        async with asyncio.TaskGroup() as tasks:
            keeping = tasks.create_task(self._keep_until_cancelled())
            async with asyncio.TaskGroup() as working:
                for slot in self._slots:
                    working.create_task(self._work(slot, stop))
            keeping.cancel()

    async def _work(self, slot: Retrier, stop: Stop) -> None:
        try:
            while not stop.is_requested:
                await self._read_and_finish(slot, stop)
        except Stopped:
            _log.warning("stopped while retrying; entries in hand stay in the stream", error=slot.last_error)

    async def _read_and_finish(self, slot: Retrier, stop: Stop) -> None:
        """Read once, one slot at a time, and finish the entries, if there are any."""
        async with AsyncExitStack() as sharing:
            async with self._reading:
                if stop.is_requested:
                    return
                if not self._is_member:
                    await slot.run(self._join, stop)
                    self._is_member = True
                await sharing.enter_async_context(self.gate.shared())
                entries = await slot.run(self._next_entries, stop)
                if not entries:  # nothing new within the time that a read waits
                    return
                held = _Held(slot, self.clock.monotonic())
                self.in_hand.update(dict.fromkeys(map(_key, entries), held))
                first = entries[0]
                if first.deliveries > SHARED_DELIVERIES:
                    # An entry delivered this often may be what kills workers. It is finished with nothing
                    # else in hand in any lane, and while no slot reads: if the worker dies now, this entry is
                    # the cause.
                    _log.warning(
                        "an entry was delivered often and is processed alone",
                        shard=first.shard,
                        entry=first.id,
                        deliveries=first.deliveries,
                    )
                    await sharing.aclose()
                    async with self.gate.alone():
                        await self._finish(entries, slot, stop)
                    return
            await self._finish(entries, slot, stop)

    async def _join(self) -> None:
        try:
            await self.stream.ensure_group()
        except BrokerFull:
            # A full server cannot create the group. It normally exists; if not, reading fails and says so.
            _log.warning("the queue is full; the consumer group could not be checked")

    async def _next_entries(self) -> list[PackedEntry]:
        """Entries of a dead worker when a claim is due, otherwise new ones; none after a timeout."""
        # During an outage a claim would only add a delivery to entries that cannot be stored.
        is_claim_due = self.clock.monotonic() >= self._claim_at
        if is_claim_due and not any((slot.last_error or "").startswith(_OUTAGES) for slot in self._slots):
            idle_ms = int(self.pace.claim_idle_seconds * 1000)
            claimed = await self.stream.claim(
                self.name, idle_ms, self.pace.batch_entries, _WORTH_A_TRANSACTION_BYTES, self.in_hand
            )
            if claimed:
                self.metrics.entries_claimed.inc(len(claimed))
                _log.info("took over entries of a silent worker", entries=len(claimed))
                return claimed
            await self.stream.remove_dead_consumers(FORGET_CONSUMER_MS)
            self._claim_at = self.clock.monotonic() + self._keep_seconds
        return await self.stream.read(
            self.name, self.pace.batch_entries, self.pace.read_block_ms, _WORTH_A_TRANSACTION_BYTES
        )

    async def _finish(self, entries: Sequence[PackedEntry], slot: Retrier, stop: Stop) -> None:
        """Unpack as many entries at a time as there is room for, store them and acknowledge them."""
        try:
            for group in _groups(entries, self.pace.unpacked_bytes):
                size = sum(entry.unpacked_bytes for entry in group)
                async with self.room.hold(size):
                    # Many bytes are unpacked in a thread, so that nothing else waits for them.
                    if size < _QUICK_BYTES:
                        unpacked = _unpacked(group)
                    else:
                        unpacked = await asyncio.to_thread(_unpacked, group)
                    await self._store(unpacked, slot, stop)
        finally:
            # Also after a failure: what is not acknowledged is claimed by another worker, or by this one.
            for entry in entries:
                self.in_hand.pop(_key(entry), None)

    async def _store(self, entries: Sequence[StreamEntry], slot: Retrier, stop: Stop) -> None:
        """Store the entries, normally in one transaction, and then acknowledge them.

        A crash in between replays them; the store recognizes their batch ids and stores nothing twice.
        """
        begin, is_alone = _Position(0, 0), False
        while begin.entry < len(entries):
            tally, end, is_alone = await slot.run(
                partial(self._save, entries, begin, is_alone=is_alone), stop
            )
            self.metrics.count(tally)
            # Only those stored to their end: the rest of a large one follows in further transactions.
            if stored := entries[begin.entry : end.entry]:
                await slot.run(partial(self.stream.acknowledge, stored), stop)
            begin = end

    async def _save(
        self, entries: Sequence[StreamEntry], begin: "_Position", *, is_alone: bool
    ) -> tuple[Tally, "_Position", bool]:
        """Store one transaction's worth from `begin` on; returns the position of the next transaction.

        Also returns whether that is to store a single entry: once a transaction failed for an unknown reason,
        each of the remaining entries is stored alone. If that fails, too, its posts are held, and a job tries
        these one by one: the post behind the failure costs the others no more than a delay.

        Each attempt normalizes again, so that an outage holds no rows in memory.
        """
        async with self.turns.take(self.lane):
            if not is_alone:
                try:
                    return *await self._save_together(entries, begin), False
                except Exception as error:
                    if cause_of(error) is not Cause.UNFORESEEN:
                        raise
                    self.metrics.store_failures.labels(Cause.UNFORESEEN).inc()
                    if (
                        not self._is_holding_paused
                    ):  # otherwise this is the retry of an attempt that was logged
                        _log.exception(
                            "a transaction failed for an unknown reason; its entries are stored alone"
                        )
            entry = entries[begin.entry]
            try:
                return *await self._save_together(entries[: begin.entry + 1], begin), True
            except Exception as error:
                # When nothing at all can be stored, the queue is the place to wait.
                if cause_of(error) is not Cause.UNFORESEEN or self._is_holding_paused:
                    raise
                found = project_ids([entry])
                _log.error(
                    "an entry cannot be stored; its posts are held",
                    shard=entry.shard,
                    entry=entry.id,
                    projects=[UUID(bytes=id_).hex for id_ in sorted(found)][:_PROJECTS_NAMED],
                    error=f"{type(error).__name__}: {error}",
                )
            return *await self._save_together(entries[: begin.entry + 1], begin, held=found), True

    async def _save_together(
        self, entries: Sequence[StreamEntry], begin: "_Position", held: Collection[bytes] = ()
    ) -> tuple[Tally, "_Position"]:
        """Store as many entries as a transaction takes; the posts of `held` projects are held."""
        projects = await self.projects.rules_for(project_ids(entries[begin.entry :]))
        batches: list[NormalizedBatch] = []
        bugs: list[Exception] = []
        weight = memory_bytes = 0
        end = begin
        async with AsyncExitStack() as until_stored:
            async with self._parsing:
                while end.entry < len(entries) and weight < TRANSACTION_WEIGHT:
                    piece = await self._normalize(entries[end.entry], end.post, projects, held)
                    batches += piece.batches
                    bugs += list(piece.bugs.values())[:1]
                    weight += piece.weight
                    memory_bytes += piece.memory_bytes
                    end = end.after(piece)
                # A post can become thousands of rows. While these wait for room no other slot makes any, so
                # that the rows of one transaction at most are not within the limit.
                await until_stored.enter_async_context(self.row_room.hold(memory_bytes))
            # Beside good events a bug is the exception, however many posts it affects.
            if bugs and self._is_holding_paused and not any(batch.events for batch in batches):
                raise bugs[0]
            started = self.clock.monotonic()
            tally = await self.store.save(batches)
            self.metrics.store_seconds.observe(self.clock.monotonic() - started)
        self.holding.note(tally, 1 if held else len(bugs), self.clock.monotonic())
        return tally, end

    async def _normalize(
        self,
        entry: StreamEntry,
        first_post: int,
        projects: Mapping[bytes, ProjectRules],
        held: Collection[bytes] = (),
    ) -> Piece:
        rules = self.rules.accepting(entry.body_limit_bytes)
        # What ingest accepted is stored, even under a larger limit than ours; each such limit is logged once.
        if rules is not self.rules and entry.body_limit_bytes > self._largest_limit_bytes:
            self._largest_limit_bytes = entry.body_limit_bytes
            own = self.rules.unpacked_limit_bytes // MAX_EXPANSION
            _log.warning(
                f"HEADRACE_BODY_LIMIT_BYTES is {own} here and {entry.body_limit_bytes} at an ingest process;"
                " its posts are unpacked within its limit"
            )
        held = held or self.store.held_projects()
        # A large entry goes to a thread: health, the sweep and the other slots do not wait for it.
        if is_large(entry):
            piece = await asyncio.to_thread(normalize_piece, entry, first_post, rules, projects, held)
        else:
            await asyncio.sleep(0)  # lets another slot send its rows to Postgres
            piece = normalize_piece(entry, first_post, rules, projects, held)
        for project_id, bug in piece.bugs.items():
            self._name_bug(project_id, bug)
        return piece

    @property
    def _is_holding_paused(self) -> bool:
        return self.holding.is_paused(self.clock.monotonic())

    def _name_bug(self, project_id: bytes, bug: Exception) -> None:
        """Count posts that cannot be normalized, once for a project and piece; log each project once."""
        self.metrics.store_failures.labels(Cause.UNFORESEEN).inc()
        if project_id not in self._named and len(self._named) < _MOST_NAMED:
            self._named.add(project_id)
            _log.error(
                "a post cannot be normalized and is held; further ones of the project are only counted",
                project=project_id.hex(),
                exc_info=bug,
            )

    @property
    def _keep_seconds(self) -> float:
        return self.pace.claim_idle_seconds / _CLAIMS_PER_IDLE_TIME

    async def _keep_until_cancelled(self) -> None:
        while True:
            await asyncio.sleep(self._keep_seconds)
            await self.keep_in_hand()

    async def keep_in_hand(self) -> None:
        """Extend this worker's claim on entries that take long, so that no other worker repeats the work.

        The extension is bounded, and entries of a slot that is retrying are left for others to claim.
        """
        now = self.clock.monotonic()
        kept = [
            key
            for key, held in self.in_hand.items()
            if held.slot.last_error is None and self._keep_seconds <= now - held.since <= _KEPT_SECONDS
        ]
        if not kept:
            return
        try:
            await self.stream.keep(self.name, kept)
        except (BrokerUnavailable, BrokerFull) as error:
            _log.warning("the claim on entries in hand could not be extended", error=str(error))


class _Position(NamedTuple):
    """How far the entries in hand are stored: up to this post of this entry."""

    entry: int
    post: int

    def after(self, piece: Piece) -> "_Position":
        """The position behind a piece of this entry."""
        return (
            _Position(self.entry + 1, 0) if piece.next_post is None else self._replace(post=piece.next_post)
        )


class _Held(NamedTuple):
    """The slot that has an entry in hand, and since when."""

    slot: Retrier
    since: float


def _key(entry: PackedEntry) -> tuple[int, str]:
    return entry.shard, entry.id


def _groups(entries: Sequence[PackedEntry], limit_bytes: int) -> Iterator[list[PackedEntry]]:
    """The entries in order, in groups of at most `limit_bytes` unpacked; a larger entry is its own group."""
    group: list[PackedEntry] = []
    room = limit_bytes
    for entry in entries:
        room -= entry.unpacked_bytes
        if group and room < 0:
            yield group
            group, room = [], limit_bytes - entry.unpacked_bytes
        group.append(entry)
    if group:
        yield group


def _unpacked(entries: Sequence[PackedEntry]) -> list[StreamEntry]:
    return [
        entry.given_up(f"{entry.deliveries} deliveries, and no worker has finished it.")
        if entry.deliveries > MOST_DELIVERIES
        else entry.unpacked()
        for entry in entries
    ]

"""A stream and a store in memory, with the behaviour of the real ones; see tests/conformance."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from collector.broker.queue import post_batch
from collector.broker.queue.bounded_reads import SHARED_DELIVERIES
from collector.broker.queue.post_stream import UNBOUNDED_BYTES, PackedEntry, StreamEntry
from collector.domain.event.build import INVALID_REFERENCE_ID
from collector.domain.event.outcome import DeadLetter, Event, HeldPost, NormalizedBatch, Tally
from collector.domain.intake.normalize import Rules
from collector.domain.post import PostBatch
from collector.domain.project.rules import DEFAULT_RULES, ProjectRules
from tests.support.factories import PROJECT
from tests.support.fakes import FakeClock
from worker.batch import normalize_piece


@dataclass(slots=True)
class FakeStream:
    """One shard and one consumer group. `failures` are raised one by one, by the method of that name."""

    clock: FakeClock = field(default_factory=FakeClock)
    acknowledged: list[str] = field(default_factory=list)
    failures: dict[str, list[Exception | None]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    consumers: dict[str, float] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)
    _entries: dict[str, PackedEntry] = field(default_factory=dict)
    _holders: dict[str, tuple[str, float]] = field(default_factory=dict)
    _next: int = 1

    async def append(self, shard: int, batch: PostBatch) -> None:
        self._add(PackedEntry(shard, self._new_id(), post_batch.encode(batch)))

    def add(self, batch: PostBatch, body_limit_bytes: int) -> None:
        """Append an entry, as an ingest process with this limit does."""
        self._add(PackedEntry(0, self._new_id(), post_batch.encode(batch, body_limit_bytes)))

    def add_unreadable(self, raw: bytes) -> None:
        """Append an entry that only a later version can read."""
        self._add(PackedEntry(0, self._new_id(), {b"v": b"9", b"b": raw}))

    @property
    def is_drained(self) -> bool:
        return not self._entries

    async def ensure_group(self) -> None:
        self._meet("ensure_group")

    async def read(
        self, consumer: str, count: int, block_ms: int, worth_bytes: int = UNBOUNDED_BYTES
    ) -> list[PackedEntry]:
        self._meet("read")
        self.consumers[consumer] = self.clock.monotonic()
        new = [entry for entry in self._entries.values() if entry.id not in self._holders]
        if not new:
            await asyncio.sleep(block_ms / 1000)
        return self._hand_over(new[:count], consumer, worth_bytes)

    async def claim(
        self,
        consumer: str,
        idle_ms: int,
        count: int,
        worth_bytes: int = UNBOUNDED_BYTES,
        in_hand: Collection[tuple[int, str]] = (),
    ) -> list[PackedEntry]:
        self._meet("claim")
        self.consumers[consumer] = self.clock.monotonic()
        until = self.clock.monotonic() - idle_ms / 1000
        idle = [self._entries[id_] for id_, (_, since) in self._holders.items() if since <= until]
        idle = [entry for entry in idle if (entry.shard, entry.id) not in in_hand]
        often = [entry for entry in idle if entry.deliveries > SHARED_DELIVERIES]
        if idle and idle[0] in often:
            return self._hand_over(idle[:1], consumer, worth_bytes)
        return self._hand_over([each for each in idle if each not in often][:count], consumer, worth_bytes)

    async def keep(self, consumer: str, in_hand: Collection[tuple[int, str]]) -> None:
        self._meet("keep")
        for _, id_ in in_hand:
            if self._holders.get(id_, ("", 0.0))[0] == consumer:
                self._holders[id_] = (consumer, self.clock.monotonic())
                self.kept.append(id_)

    async def acknowledge(self, entries: Sequence[StreamEntry | PackedEntry]) -> None:
        self._meet("acknowledge")
        for entry in entries:
            if self._entries.pop(entry.id, None) is not None:
                self.acknowledged.append(entry.id)
            self._holders.pop(entry.id, None)

    async def remove_dead_consumers(self, idle_ms: int) -> int:
        self._meet("remove_dead_consumers")
        holding = {holder for holder, _ in self._holders.values()}
        until = self.clock.monotonic() - idle_ms / 1000
        dead = [name for name, seen in self.consumers.items() if seen < until and name not in holding]
        for name in dead:
            del self.consumers[name]
        return len(dead)

    def _hand_over(self, entries: list[PackedEntry], consumer: str, worth_bytes: int) -> list[PackedEntry]:
        handed: list[PackedEntry] = []
        for entry in entries:
            if worth_bytes <= 0:
                break
            handed.append(entry)
            worth_bytes -= entry.unpacked_bytes
            self._holders[entry.id] = (consumer, self.clock.monotonic())
            self._entries[entry.id] = replace(entry, deliveries=entry.deliveries + 1)
        return handed

    def _add(self, entry: PackedEntry) -> None:
        self._entries[entry.id] = entry

    def _new_id(self) -> str:
        self._next += 1
        return f"{self.clock.now_ms()}-{self._next}"

    def _meet(self, method: str) -> None:
        self.calls.append(method)
        failure = self.failures[method].pop(0) if self.failures.get(method) else None
        if failure is not None:
            raise failure


@dataclass(slots=True)
class FakeStore:
    """Stores in memory. Each attempt waits for `gate`; `failures` are raised one by one."""

    events: list[Event] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)
    held: set[bytes] = field(default_factory=set)
    held_posts: list[HeldPost] = field(default_factory=list)
    refuses: Callable[[Sequence[NormalizedBatch]], bool] = field(default=lambda _: False)
    attempts: int = 0
    gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1_000_000))
    _entry_of: dict[UUID, tuple[int, str]] = field(default_factory=dict)
    _repeats: set[tuple[int, str]] = field(default_factory=set)
    _references: set[tuple[bytes, str]] = field(default_factory=set)

    def held_projects(self) -> Collection[bytes]:
        return self.held

    async def save(self, batches: Sequence[NormalizedBatch]) -> Tally:
        self.attempts += 1
        await self.gate.acquire()
        if self.failures:
            raise self.failures.pop(0)
        if self.refuses(batches):
            raise ZeroDivisionError
        new = [batch for batch in batches if self._is_new(batch)]
        stored_before = _entries(batches) - _entries(new)
        new = [batch for batch in new if not batch.is_part or _entry(batch) not in stored_before]
        repeated = sum(self._is_repeat(batch) for batch in batches)
        events = [event for batch in new for event in batch.events]
        stored = [event for event in events if self._is_first(event)]
        letters = [letter for batch in new for letter in batch.dead_letters]
        self.events += stored
        self.dead_letters += letters
        self.held_posts += [post for batch in new for post in batch.held]
        return Tally(
            stored=len(stored),
            duplicate=len(events) - len(stored),
            discarded=sum(batch.discarded.total() for batch in new),
            dead_lettered=len(letters),
            replayed=_whole(batches) - _whole(new) - repeated,
            repeated=repeated,
        )

    def _is_new(self, batch: NormalizedBatch) -> bool:
        is_new = batch.id not in self._entry_of
        self._entry_of.setdefault(batch.id, _entry(batch))
        return is_new

    def _is_repeat(self, batch: NormalizedBatch) -> bool:
        entry = _entry(batch)
        is_known = self._entry_of[batch.id] == entry or entry in self._repeats
        is_repeat = not batch.is_part and not is_known
        if is_repeat:
            self._repeats.add(entry)
        return is_repeat

    def _is_first(self, event: Event) -> bool:
        if event.reference_id in {None, INVALID_REFERENCE_ID}:
            return True
        key = (event.project_id, event.reference_id or "")
        is_first = key not in self._references
        self._references.add(key)
        return is_first


@dataclass(slots=True)
class FakeProjects:
    """The existing projects; `failures` are raised one by one."""

    rules: dict[bytes, ProjectRules] = field(default_factory=lambda: {PROJECT: DEFAULT_RULES})
    failures: list[Exception] = field(default_factory=list)

    async def rules_for(self, project_ids: Collection[bytes]) -> Mapping[bytes, ProjectRules]:
        if self.failures:
            raise self.failures.pop(0)
        return {id_: rules for id_, rules in self.rules.items() if id_ in project_ids}


def normalized(entries: Sequence[StreamEntry | PackedEntry], rules: Rules) -> list[NormalizedBatch]:
    """All outcomes of the entries, as if they were stored together."""
    batches: list[NormalizedBatch] = []
    for each in entries:
        entry = each.unpacked() if isinstance(each, PackedEntry) else each
        post: int | None = 0
        while post is not None:
            piece = normalize_piece(entry, post, rules, {PROJECT: DEFAULT_RULES})
            batches += piece.batches
            post = piece.next_post
    return batches


def _whole(batches: Sequence[NormalizedBatch]) -> int:
    return sum(not batch.is_part for batch in batches)


def _entries(batches: Sequence[NormalizedBatch]) -> set[tuple[int, str]]:
    """The entries whose whole batches these are."""
    return {_entry(batch) for batch in batches if not batch.is_part}


def _entry(batch: NormalizedBatch) -> tuple[int, str]:
    return batch.shard, batch.entry_id

"""The account: what was accepted, what is in the stream, what became of it, and whether that adds up. Pure.

Redis and Postgres cannot be read in one moment. So what was finished is read before and after the queue: on a
busy system the numbers must fit between the two, give or take what workers have in hand; when the stream is
empty they must be equal.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date

from collector.domain.event.outcome import DERIVED, Outcome


@dataclass(frozen=True, slots=True)
class ShardQueue:
    """One shard in Redis at one moment: what was appended in all, and the entries that are in the stream.

    `pending` are those in a worker's hands: read, and not yet acknowledged.
    """

    shard: int
    batches: int = 0
    posts: int = 0
    bytes: int = 0
    length: int = 0
    pending: int = 0


@dataclass(frozen=True, slots=True)
class Processed:
    """One shard in Postgres at one moment: what was stored, and apart from it what came a second time."""

    batches: int = 0
    posts: int = 0
    events: int = 0
    repeated_batches: int = 0
    repeated_posts: int = 0

    @property
    def all_batches(self) -> int:
        """Every stream entry whose transaction was committed."""
        return self.batches + self.repeated_batches

    @property
    def all_posts(self) -> int:
        """Every post of those."""
        return self.posts + self.repeated_posts


@dataclass(frozen=True, slots=True)
class DatabaseTotals:
    """What Postgres holds at one moment.

    `outcomes` are events by outcome and reason (from `usage`); those with the reason `derived` came out of no
    post. `dead_letters` are the letters themselves by reason. `leaves` have, for each day that still has its
    partition, the events that `usage` calls stored and those that are there; None where nobody counted. What
    was removed with its project counts as there. `misdated` are those outside of their partition's recorded
    dates.
    """

    processed: Mapping[int, Processed] = field(default_factory=dict)
    outcomes: Mapping[tuple[str, str], int] = field(default_factory=dict)
    dead_letters: Mapping[str, int] = field(default_factory=dict)
    partitions: Mapping[date, tuple[int, int]] | None = None
    misdated: Mapping[date, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ledger:
    """All of it, in the order in which it was read."""

    totals: DatabaseTotals
    queues: tuple[ShardQueue, ...]
    processed_after: Mapping[int, Processed]

    @property
    def in_stream(self) -> int:
        """Entries that are not acknowledged."""
        return sum(queue.length for queue in self.queues)

    @property
    def pending(self) -> int:
        """Those of them that workers have read."""
        return sum(queue.pending for queue in self.queues)


def differences(ledger: Ledger) -> list[str]:
    """What does not add up, each as a sentence for an operator; none when all is well."""
    return [*_of_shards(ledger), *_of_events(ledger.totals), *_of_partitions(ledger.totals)]


def _of_shards(ledger: Ledger) -> Iterator[str]:
    shards = {queue.shard for queue in ledger.queues}
    for queue in ledger.queues:
        before = ledger.totals.processed.get(queue.shard, Processed())
        after = ledger.processed_after.get(queue.shard, Processed())
        yield from _of_shard(queue, before, after)
    for shard in sorted(set(ledger.processed_after) - shards):
        processed = ledger.processed_after[shard].all_batches
        yield (
            f"shard {shard}: {processed} batches were finished and none accepted;"
            " Redis may have lost its counters"
        )


def _of_shard(queue: ShardQueue, before: Processed, after: Processed) -> Iterator[str]:
    """Entries that left the stream were finished; finished ones left it or are in hand."""
    left = queue.batches - queue.length
    if left > after.all_batches:
        yield (
            f"shard {queue.shard}: {left - after.all_batches} batches left the stream unfinished"
            f" ({queue.batches} accepted, {queue.length} in the stream, {after.all_batches} finished)"
        )
    if before.all_batches > left + queue.pending:
        yield (
            f"shard {queue.shard}: {before.all_batches - left - queue.pending} batches were finished that"
            f" nobody accepted ({queue.batches} accepted, {queue.length} in the stream,"
            f" {before.all_batches} finished); Redis may have lost its counters"
        )
    if queue.length == 0 and queue.batches == after.all_batches and queue.posts != after.all_posts:
        yield f"shard {queue.shard}: {queue.posts} posts were accepted and {after.all_posts} finished"


def _of_events(totals: DatabaseTotals) -> Iterator[str]:
    came_out = sum(processed.events for processed in totals.processed.values())
    ended = sum(n for (_, reason), n in totals.outcomes.items() if reason != DERIVED)
    if came_out != ended:
        yield f"{came_out} events came out of the posts and {ended} have an outcome"
    counted = Counter(
        {reason: n for (outcome, reason), n in totals.outcomes.items() if outcome == Outcome.DEAD_LETTERED}
    )
    for reason in sorted({*counted, *totals.dead_letters}):
        kept = totals.dead_letters.get(reason, 0)
        if counted[reason] != kept:
            yield f"{counted[reason]} events were dead-lettered as {reason} and {kept} dead letters are there"


def _of_partitions(totals: DatabaseTotals) -> Iterator[str]:
    for day, (counted, found) in sorted((totals.partitions or {}).items()):
        if counted != found:
            yield f"{counted} events of {day} were stored and {found} are there"
    for day, misdated in sorted(totals.misdated.items()):
        if misdated:
            yield f"{misdated} events of {day} lie outside of its partition's dates: searches may miss them"

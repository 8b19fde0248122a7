"""The ledger: reconciles what ingest accepted with what is in the stream and what the worker processed.

Redis and Postgres cannot be read at the same instant, so the processed counts are read before and after the
queue. On a busy system the queue's counts must lie between the two, allowing for entries that are pending;
on a drained system they must be equal.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date

from collector.domain.event.outcome import DERIVED, Outcome


@dataclass(frozen=True, slots=True)
class ShardQueue:
    """One shard in Redis: the totals ever appended, and the `length` of its stream in entries.

    `pending` entries have been delivered to a worker and not yet acknowledged.
    """

    shard: int
    batches: int = 0
    posts: int = 0
    bytes: int = 0
    length: int = 0
    pending: int = 0


@dataclass(frozen=True, slots=True)
class Processed:
    """One shard in Postgres: what was processed, with batches and posts that were delivered again apart.

    `restored_batches` is what a restore could not account for: batches that were stored after the backup was
    taken or, if negative, that a former queue accepted.
    """

    batches: int = 0
    posts: int = 0
    events: int = 0
    repeated_batches: int = 0
    repeated_posts: int = 0
    restored_batches: int = 0

    @property
    def all_batches(self) -> int:
        """Every entry of this queue whose transaction was committed, including repeats and lost ones."""
        return self.batches + self.repeated_batches + self.restored_batches

    @property
    def all_posts(self) -> int:
        """Every post of those entries."""
        return self.posts + self.repeated_posts


@dataclass(frozen=True, slots=True)
class DatabaseTotals:
    """The totals in Postgres.

    - `outcomes`: events by outcome and reason, from `usage`; the reason `derived` marks events of no post.
    - `dead_letters`: rows in the dead letter table, by reason.
    - `partitions`: for each day that still has its partition, the events that `usage` counts as stored and
      those that exist (events removed with their project included); None if they were not counted.
    - `misdated`: events per day outside of the dates recorded for their partition.
    - `miscounted`: rows per day by which the rollups differ from the events.
    """

    processed: Mapping[int, Processed] = field(default_factory=dict)
    outcomes: Mapping[tuple[str, str], int] = field(default_factory=dict)
    dead_letters: Mapping[str, int] = field(default_factory=dict)
    partitions: Mapping[date, tuple[int, int]] | None = None
    misdated: Mapping[date, int] = field(default_factory=dict)
    miscounted: Mapping[date, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ledger:
    """The counts to reconcile, in the order in which they were read."""

    totals: DatabaseTotals
    queues: tuple[ShardQueue, ...]
    processed_after: Mapping[int, Processed]

    @property
    def in_stream(self) -> int:
        """Entries that have not been acknowledged."""
        return sum(queue.length for queue in self.queues)

    @property
    def pending(self) -> int:
        """Those of them that have been delivered to a worker."""
        return sum(queue.pending for queue in self.queues)


def differences(ledger: Ledger) -> list[str]:
    """What does not add up, each as a sentence for operators; empty if the ledger is balanced."""
    return [*_shard_differences(ledger), *_event_differences(ledger.totals)]


def _shard_differences(ledger: Ledger) -> Iterator[str]:
    for queue in ledger.queues:
        shard = queue.shard
        before = ledger.totals.processed.get(shard, Processed())
        after = ledger.processed_after.get(shard, Processed())
        left = queue.batches - queue.length

        # A batch leaves the stream only after its transaction has committed.
        if left > after.all_batches:
            yield (
                f"shard {shard}: {left - after.all_batches} batches left the stream unprocessed"
                f" ({queue.batches} accepted, {queue.length} in the stream, {after.all_batches} processed)"
            )
        # A processed batch has left the stream or is still pending.
        if before.all_batches > left + queue.pending:
            yield (
                f"shard {shard}: {before.all_batches - left - queue.pending} batches were processed but never"
                f" accepted ({queue.batches} accepted, {queue.length} in the stream, {before.all_batches}"
                " processed); Redis may have lost its counters"
            )
        # Posts can be compared exactly only while nothing is in the stream. How many posts were in the
        # batches that a restore lost is unknown.
        is_comparable = queue.length == 0 and after.restored_batches == 0
        if is_comparable and queue.batches == after.all_batches and queue.posts != after.all_posts:
            yield f"shard {shard}: {queue.posts} posts were accepted and {after.all_posts} processed"

    # Postgres may know shards that Redis does not.
    for shard in sorted(set(ledger.processed_after) - {queue.shard for queue in ledger.queues}):
        processed = ledger.processed_after[shard].all_batches
        if processed:
            yield (
                f"shard {shard}: {processed} batches were processed and none accepted;"
                " Redis may have lost its counters"
            )


def _event_differences(totals: DatabaseTotals) -> Iterator[str]:
    # Every event of a post has an outcome. Derived events come from no post.
    events = sum(processed.events for processed in totals.processed.values())
    outcomes = sum(n for (_, reason), n in totals.outcomes.items() if reason != DERIVED)
    if events != outcomes:
        yield f"the posts contained {events} events and {outcomes} have an outcome"

    # Every dead-lettered event has its dead letter.
    counted = Counter(
        {reason: n for (outcome, reason), n in totals.outcomes.items() if outcome == Outcome.DEAD_LETTERED}
    )
    for reason in sorted({*counted, *totals.dead_letters}):
        found = totals.dead_letters.get(reason, 0)
        if counted[reason] != found:
            yield f"{counted[reason]} events were dead-lettered as {reason} and {found} dead letters exist"

    # Every stored event is in its day's partition, within the dates that searches rely on.
    for day, (stored, found) in sorted((totals.partitions or {}).items()):
        if stored != found:
            yield f"{stored} events of {day} were stored and {found} exist"
    for day, misdated in sorted(totals.misdated.items()):
        if misdated:
            yield f"{misdated} events of {day} lie outside of its partition's dates: searches may miss them"

    # The rollups count what is in the partition.
    for day, rows in sorted(totals.miscounted.items()):
        if rows:
            yield f"{rows} rows of the rollups of {day} differ from its events: charts may be wrong"

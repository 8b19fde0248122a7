"""The store: writes everything that post batches turned into, in one transaction, and each batch id once.

`save` has two halves. `_prepare` runs before the transaction: it computes, reads, and makes what may be made
twice (partitions, their dates, sessions). `_write` runs inside it and holds locks as briefly as it can.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Final

import asyncpg

from collector.database.errors import DatabaseUnavailable
from collector.database.pool import connected
from collector.database.schema.partition_dates import widen_partition_dates
from collector.database.schema.partitions import make_partitions_for
from collector.database.sessions.session_writer import SessionWriter, flush_activity
from collector.database.sessions.user_descriptions import keep_descriptions
from collector.database.writing.batch_ids import NewAndRepeated, claim_batch_ids
from collector.database.writing.dead_letters import keep_dead_letters
from collector.database.writing.event_writer import EventWriter
from collector.database.writing.held_posts import hold_posts
from collector.database.writing.midnight_dedup import Midnight
from collector.database.writing.outcome_counts import OutcomeCounts
from collector.database.writing.processed import count_processed
from collector.database.writing.rejected_rows import RejectedRows, RejectionBreaker
from collector.database.writing.rollup_writer import add_rollups
from collector.database.writing.stack_writer import StackWriter
from collector.database.writing.staging import dead_letter
from collector.database.writing.usage import add_usage
from collector.domain.event.outcome import (
    DeadLetter,
    DeadLetterReason,
    DiscardReason,
    Event,
    NormalizedBatch,
    Tally,
)
from collector.domain.ids import TIME_BYTES, accepted_at
from collector.domain.session.assignment import Assignment
from collector.domain.session.cache import ActiveSessions
from collector.process.clock import Clock, SystemClock

REFERENCE_WINDOW: Final = timedelta(hours=1)

_NO_PARTITION: Final = (
    "Its time of acceptance is older than retention or lies in the future: no partition is made for it."
)


@dataclass(frozen=True, slots=True)
class _Prepared:
    """The input of a storing transaction.

    `events` are those of all `batches`; each has a partition. `days` are those on which they were accepted;
    `midnight` is None when that was far from any midnight.
    """

    batches: Sequence[NormalizedBatch]
    events: Sequence[Event]
    days: set[date]
    midnight: Midnight | None
    sessions: SessionWriter


@dataclass(frozen=True, slots=True)
class _Written:
    """The result of a storing transaction, to be used once it is committed."""

    claimed: NewAndRepeated
    outcomes: OutcomeCounts
    rejected: RejectedRows
    is_direct: bool


class BatchStore:
    """Stores normalized batches through a pool of connections.

    A reference id that repeats across midnight within `reference_window` is a duplicate. Partitions are made
    as they are needed, but none older than `retention_days` (None: no limit). Without `has_sessions` events
    are stored as they were sent.
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        *,
        reference_window: timedelta = REFERENCE_WINDOW,
        retention_days: int | None = None,
        has_sessions: bool = True,
        clock: Clock | None = None,
    ) -> None:
        self._pool = pool
        self._midnight = Midnight(reference_window)
        self._retention_days = retention_days
        self._has_sessions = has_sessions
        self._active = ActiveSessions()
        self._clock = clock or SystemClock()
        self._breaker = RejectionBreaker(self._clock)
        self._is_direct = True

    def follow(self, *, reference_window: timedelta, retention_days: int, has_sessions: bool) -> None:
        """Use other settings from the next transaction on."""
        self._midnight = Midnight(reference_window)
        self._retention_days = retention_days
        self._has_sessions = has_sessions

    def held_projects(self) -> frozenset[bytes]:
        """The projects whose posts are to be held, because Postgres rejected most of their last events."""
        return self._breaker.held()

    async def save(self, batches: Sequence[NormalizedBatch], *, may_reject_all: bool = False) -> Tally:
        """Store events, dead letters and counts of all batches in one transaction, each batch id once.

        Raises DatabaseUnavailable if it should be repeated: then either nothing or all of it is stored, and
        repeating is safe. A row that Postgres can never take becomes a dead letter without affecting the
        others. Raises TooManyRejected if that would be most of a project's events, unless `may_reject_all`.
        """
        try:
            async with connected(self._pool) as connection:
                # What may be done twice is done before the transaction, which then holds its locks briefly.
                prepared = await self._prepare(connection, batches)
                async with connection.transaction():
                    written = await self._write(connection, prepared, may_reject_all=may_reject_all)
        except DatabaseUnavailable:
            self._active.expire()
            raise
        # A transaction that wrote nothing (all replays) does not prove that the original is on disk.
        if written.claimed.new:
            prepared.sessions.update_cache()
        if not may_reject_all:
            self._breaker.record(written.rejected)
        self._is_direct = written.is_direct
        claimed, outcomes = written.claimed, written.outcomes
        return Tally(
            stored=len(outcomes.stored),
            duplicate=len(outcomes.duplicates),
            discarded=outcomes.discarded,
            dead_lettered=len(outcomes.letters),
            replayed=_whole(batches) - _whole(claimed.new) - len(claimed.repeated),
            repeated=len(claimed.repeated),
            derived=len(outcomes.derived),
            held=sum(len(batch.held) for batch in claimed.new),
            dead_letters=Counter(letter.reason for letter in outcomes.letters),
        )

    async def flush_activity(self) -> None:
        """Write the activity that sessions' rows lack so far."""
        await flush_activity(self._pool, self._active)

    async def _prepare(self, connection: asyncpg.Connection, batches: Sequence[NormalizedBatch]) -> _Prepared:
        # Many events share a moment of acceptance, which their ids begin with.
        times = {event.id[:TIME_BYTES] for batch in batches for event in batch.events}
        moments = set(map(accepted_at, times))
        days = {moment.date() for moment in moments}
        if without_partition := await make_partitions_for(connection, days, self._retention_days):
            batches = [_with_dead_letters(batch, without_partition) for batch in batches]
        events = [event for batch in batches for event in batch.events]
        await widen_partition_dates(connection, _by_day(events, days))
        sessions = SessionWriter(connection, self._active if self._has_sessions else None, self._clock)
        await sessions.begin(events)
        midnight = self._midnight if self._midnight.is_near(moments) else None
        return _Prepared(batches, events, days, midnight, sessions)

    async def _write(
        self, connection: asyncpg.Connection, prepared: _Prepared, *, may_reject_all: bool
    ) -> _Written:
        claimed = await claim_batch_ids(connection, prepared.batches)
        new, events = claimed.new, prepared.events
        if len(new) < len(prepared.batches):  # some are replays or repeats
            events = [event for batch in new for event in batch.events]
        if prepared.midnight is not None:
            await prepared.midnight.pass_gate(connection, events)

        assignment = prepared.sessions.assign(events)
        stack_writer = StackWriter(connection)
        to_store = await stack_writer.begin([*assignment.events, *assignment.derived])
        rejected = RejectedRows(to_store, None) if may_reject_all else self._breaker.begin(to_store)
        event_writer = EventWriter(connection, prepared.midnight, rejected, is_direct=self._is_direct)
        await event_writer.write(_by_day(to_store, prepared.days))

        lost = rejected.ids.union(event.id for event in event_writer.duplicates)
        outcomes = _outcome_counts(
            new,
            stored=_without(lost, to_store),
            duplicates=event_writer.duplicates,
            rejected=rejected.letters,
            of_discarded_stacks=stack_writer.discarded,
            assignment=assignment,
        )
        await keep_dead_letters(connection, outcomes.letters)
        await keep_descriptions(connection, [each for batch in new for each in batch.descriptions])
        await hold_posts(connection, [(batch.shard, post) for batch in new for post in batch.held])
        # Rows that many transactions share come last, so that they are locked briefly.
        stacks = await stack_writer.end(to_store, lost)
        await add_rollups(connection, stacks, prepared.days)
        await prepared.sessions.flush()
        await add_usage(connection, outcomes.counts())
        await count_processed(connection, claimed)
        return _Written(claimed, outcomes, rejected, event_writer.is_direct)


def _with_dead_letters(batch: NormalizedBatch, without_partition: set[date]) -> NormalizedBatch:
    """The batch with dead letters in place of the events of these days."""
    events, letters = [], list(batch.dead_letters)
    for event in batch.events:
        if accepted_at(event.id).date() in without_partition:
            letters.append(dead_letter(event, DeadLetterReason.IMPLAUSIBLE_TIME, _NO_PARTITION))
        else:
            events.append(event)
    return replace(batch, events=events, dead_letters=letters)


def _outcome_counts(
    batches: Sequence[NormalizedBatch],
    *,
    stored: Sequence[Event],
    duplicates: Sequence[Event],
    rejected: Iterable[DeadLetter],
    of_discarded_stacks: Sequence[Event],
    assignment: Assignment,
) -> OutcomeCounts:
    """The outcome of everything that came out of the batches. Derived events count only where stored."""
    derived = {event.id for event in assignment.derived}
    sent_to_discarded_stacks = _without(derived, of_discarded_stacks)
    return OutcomeCounts(
        stored=_without(derived, stored),
        derived=[event for event in stored if event.id in derived] if derived else (),
        duplicates=_without(derived, duplicates),
        letters=[
            *(letter for batch in batches for letter in batch.dead_letters),
            *(letter for letter in rejected if letter.id.bytes not in derived),
        ],
        dropped=[
            *assignment.discarded,
            *((event, DiscardReason.DISCARDED_STACK) for event in sent_to_discarded_stacks),
        ],
        discards=sum((batch.discarded for batch in batches), Counter()),
    )


def _whole(batches: Iterable[NormalizedBatch]) -> int:
    """How many of them are whole batches: parts of a large one are counted with its last part."""
    return sum(not batch.is_part for batch in batches)


def _by_day(events: Sequence[Event], days: set[date]) -> Mapping[date, Sequence[Event]]:
    """The events by the UTC day of acceptance; usually there is only one day."""
    if events and len(days) == 1:
        return dict.fromkeys(days, events)
    by_day: defaultdict[date, list[Event]] = defaultdict(list)
    for event in events:
        by_day[accepted_at(event.id).date()].append(event)
    return by_day


def _without(ids: Collection[bytes], events: Sequence[Event]) -> Sequence[Event]:
    return [event for event in events if event.id not in ids] if ids else events

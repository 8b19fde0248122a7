"""The store: everything that became of post batches, in one transaction each time, and each batch once."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Final

import asyncpg

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

_NO_LEAF: Final = (
    "Its time of acceptance is beyond what is kept, or lies in the future: no partition is made for it."
)


class BatchStore:
    """Stores understood batches through a pool of connections.

    A reference id that is met again across midnight within `reference_window` is a duplicate. Partitions are
    made as they are needed, but none that is older than `retention_days` (None: any). Where there are no
    sessions events stay as they were sent.
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
        self._watch = RejectionBreaker(self._clock)
        self._is_direct = True

    def follow(self, *, reference_window: timedelta, retention_days: int, has_sessions: bool) -> None:
        """Go by other settings from the next transaction on."""
        self._midnight = Midnight(reference_window)
        self._retention_days = retention_days
        self._has_sessions = has_sessions

    def held_projects(self) -> frozenset[bytes]:
        """The projects whose posts are to be held: most of their last events were refused."""
        return self._watch.held()

    async def save(self, batches: Sequence[NormalizedBatch], *, may_refuse_all: bool = False) -> Tally:
        """Store events, dead letters and counts of all batches in one transaction, each batch id once.

        Raises DatabaseUnavailable when it should be repeated; then either nothing or all of it is stored, and
        repeating is safe. A row that Postgres can never take becomes a dead letter and costs only itself;
        MostlyRefused is raised when most of a project would, unless all may be refused.
        """
        moments = _moments(batches)
        days = {moment.date() for moment in moments}
        async with connected(self._pool) as connection:
            without_partition = await make_partitions_for(connection, days, self._retention_days)
            arrived = _sorted_out(batches, without_partition)[0]
            await widen_partition_dates(connection, _by_day(arrived, days))
            session_writer = SessionWriter(
                connection, self._active if self._has_sessions else None, self._clock
            )
            await session_writer.begin(arrived)
            async with connection.transaction():
                remembered = await claim_batch_ids(connection, batches)
                events, letters = _sorted_out(remembered.new, without_partition)
                midnight = self._midnight if self._midnight.is_near(moments) else None
                if midnight is not None:
                    await midnight.pass_gate(connection, events)
                sessions = session_writer.assigned(events)
                stack_writer = StackWriter(connection)
                to_store = await stack_writer.begin([*sessions.events, *sessions.derived])
                refused = RejectedRows(to_store, None) if may_refuse_all else self._watch.begin(to_store)
                writer = EventWriter(connection, midnight, refused, is_direct=self._is_direct)
                await writer.write(_by_day(to_store, days))
                lost = _lost(writer, refused)
                stored = _without(lost, to_store)
                letters += refused.letters
                outcome_counts = _outcome_counts(
                    remembered.new, stored, letters, sessions, stack_writer, writer
                )
                await keep_dead_letters(connection, outcome_counts.letters)
                await keep_descriptions(
                    connection, [each for batch in remembered.new for each in batch.descriptions]
                )
                await hold_posts(
                    connection, [(batch.shard, post) for batch in remembered.new for post in batch.held]
                )
                await stack_writer.end(to_store, lost)
                await session_writer.tell()
                await add_usage(connection, outcome_counts.counts())
                await count_processed(connection, remembered)
        if remembered.new:  # otherwise nothing was written, and what others wrote may not be on the disk
            session_writer.remember()
        if not may_refuse_all:
            self._watch.note(refused)
        self._is_direct = writer.is_direct
        return _tally(batches, remembered, outcome_counts)

    async def flush_activity(self) -> None:
        """Tell sessions what their rows were not told of yet."""
        await flush_activity(self._pool, self._active)


def _sorted_out(
    batches: Iterable[NormalizedBatch], without_partition: set[date]
) -> tuple[list[Event], list[DeadLetter]]:
    """The events to be stored and the dead letters there are already."""
    events = [event for batch in batches for event in batch.events]
    letters = [letter for batch in batches for letter in batch.dead_letters]
    if not without_partition:
        return events, letters
    storable: list[Event] = []
    for event in events:
        if accepted_at(event.id).date() in without_partition:
            letters.append(dead_letter(event, DeadLetterReason.IMPLAUSIBLE_TIME, _NO_LEAF))
        else:
            storable.append(event)
    return storable, letters


def _moments(batches: Iterable[NormalizedBatch]) -> set[datetime]:
    """When events were accepted, as their ids say; far fewer moments than events."""
    return set(map(accepted_at, {event.id[:TIME_BYTES] for batch in batches for event in batch.events}))


def _outcome_counts(
    batches: Iterable[NormalizedBatch],
    stored: Sequence[Event],
    letters: Iterable[DeadLetter],
    sessions: Assignment,
    stack_writer: StackWriter,
    writer: EventWriter,
) -> OutcomeCounts:
    """How everything ended that came out of the batches."""
    derived = {event.id for event in sessions.derived}
    of_discarded_stacks = _without(derived, stack_writer.discarded)
    return OutcomeCounts(
        stored=_without(derived, stored),
        derived=[event for event in stored if event.id in derived] if derived else (),
        duplicates=_without(derived, writer.duplicates),
        letters=[letter for letter in letters if letter.id.bytes not in derived],
        dropped=[
            *sessions.discarded,
            *((event, DiscardReason.DISCARDED_STACK) for event in of_discarded_stacks),
        ],
        discards=sum((batch.discarded for batch in batches), Counter()),
    )


def _tally(
    batches: Iterable[NormalizedBatch], remembered: NewAndRepeated, outcome_counts: OutcomeCounts
) -> Tally:
    return Tally(
        stored=len(outcome_counts.stored),
        duplicate=len(outcome_counts.duplicates),
        discarded=outcome_counts.discarded,
        dead_lettered=len(outcome_counts.letters),
        replayed=_whole(batches) - _whole(remembered.new) - len(remembered.repeated),
        repeated=len(remembered.repeated),
        derived=len(outcome_counts.derived),
        held=sum(len(batch.held) for batch in remembered.new),
    )


def _by_day(events: Sequence[Event], days: set[date]) -> Mapping[date, Sequence[Event]]:
    """By the UTC day of acceptance, of which as a rule there is one."""
    if events and len(days) == 1:
        return dict.fromkeys(days, events)
    by_day: defaultdict[date, list[Event]] = defaultdict(list)
    for event in events:
        by_day[accepted_at(event.id).date()].append(event)
    return by_day


def _lost(writer: EventWriter, refused: RejectedRows) -> set[bytes]:
    """The ids of what was to be stored and was not."""
    return refused.ids.union(event.id for event in writer.duplicates)


def _without(ids: Collection[bytes], events: Sequence[Event]) -> Sequence[Event]:
    return [event for event in events if event.id not in ids] if ids else events


def _whole(batches: Iterable[NormalizedBatch]) -> int:
    return sum(not batch.is_part for batch in batches)

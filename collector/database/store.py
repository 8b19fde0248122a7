"""The store: everything that became of post batches, in one transaction each time, and each batch once."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from operator import attrgetter
from typing import Final
from uuid import UUID

import asyncpg

from collector.database.dead_letters import keep_dead_letters
from collector.database.event_writer import EventWriter
from collector.database.finished import count_finished
from collector.database.leaves import make_leaves_for
from collector.database.midnight import Midnight
from collector.database.pool import connected
from collector.database.refusals import RefusalWatch, RefusedRows
from collector.database.stacking import Stacking
from collector.database.staging import dead_letter
from collector.database.stored_batches import remember
from collector.database.usage import UsageKey, add_usage
from collector.domain.identifiers import TIME_BYTES, accepted_at
from collector.domain.outcome import (
    DeadLetter,
    DeadLetterReason,
    Discard,
    DiscardReason,
    Event,
    Outcome,
    Tally,
    UnderstoodBatch,
)

NO_PROJECT: Final = UUID(int=0)
"""What a dead letter is counted under when its project is unknown."""
REFERENCE_WINDOW: Final = timedelta(hours=1)

_owner_and_moment: Final = attrgetter("project_id", "created_utc")
_NO_LEAF: Final = (
    "Its time of acceptance is beyond what is kept, or lies in the future: no leaf is made for it."
)


class BatchStore:
    """Stores understood batches through a pool of connections.

    A reference id that is met again across midnight within `reference_window` is a duplicate. Leaves are made
    as they are needed, but none that is older than `retention_days` (None: any).
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        *,
        reference_window: timedelta = REFERENCE_WINDOW,
        retention_days: int | None = None,
    ) -> None:
        self._pool = pool
        self._midnight = Midnight(reference_window)
        self._retention_days = retention_days
        self._watch = RefusalWatch()
        self._is_direct = True

    async def save(self, batches: Sequence[UnderstoodBatch]) -> Tally:
        """Store events, dead letters and counts of all batches in one transaction, each batch id once.

        Raises DatabaseUnavailable when it should be repeated; then either nothing or all of it is stored, and
        repeating is safe. A row that Postgres can never take becomes a dead letter and costs only itself;
        MostlyRefused is raised when most would.
        """
        moments = _moments(batches)
        days = {moment.date() for moment in moments}
        async with connected(self._pool) as connection:
            without_leaf = await make_leaves_for(connection, days, self._retention_days)
            async with connection.transaction():
                remembered = await remember(connection, batches)
                events, letters = _sorted_out(remembered.new, without_leaf)
                midnight = self._midnight if self._midnight.is_near(moments) else None
                if midnight is not None:
                    await midnight.pass_gate(connection, events)
                stacking = Stacking(connection)
                events = await stacking.begin(events)
                refused = self._watch.begin(len(events))
                writer = EventWriter(connection, midnight, refused, is_direct=self._is_direct)
                await writer.write(_by_day(events, days))
                letters += refused.letters
                await keep_dead_letters(connection, letters)
                await stacking.end(events, _lost(writer, refused))
                discarded = sum((batch.discarded for batch in remembered.new), Counter())
                counts = _counts(events, writer, refused) + _dead_letters(letters)
                counts += _discards(discarded) + _of_discarded_stacks(stacking.discarded)
                await add_usage(connection, counts)
                await count_finished(connection, remembered)
        self._watch.note(refused)
        self._is_direct = writer.is_direct
        return Tally(
            stored=len(events) - len(writer.duplicates) - len(refused.letters),
            duplicate=len(writer.duplicates),
            discarded=discarded.total() + len(stacking.discarded),
            dead_lettered=len(letters),
            replayed=_whole(batches) - _whole(remembered.new) - len(remembered.repeated),
            repeated=len(remembered.repeated),
        )


def _sorted_out(
    batches: Iterable[UnderstoodBatch], without_leaf: set[date]
) -> tuple[Sequence[Event], list[DeadLetter]]:
    """The events to be stored and the dead letters there are already."""
    events = [event for batch in batches for event in batch.events]
    letters = [letter for batch in batches for letter in batch.dead_letters]
    if not without_leaf:
        return events, letters
    storable: list[Event] = []
    for event in events:
        if accepted_at(event.id).date() in without_leaf:
            letters.append(dead_letter(event, DeadLetterReason.IMPLAUSIBLE_TIME, _NO_LEAF))
        else:
            storable.append(event)
    return storable, letters


def _moments(batches: Iterable[UnderstoodBatch]) -> set[datetime]:
    """When events were accepted, as their ids say; far fewer moments than events."""
    return set(map(accepted_at, {event.id[:TIME_BYTES] for batch in batches for event in batch.events}))


def _by_day(events: Sequence[Event], days: set[date]) -> Mapping[date, Sequence[Event]]:
    """By the UTC day of acceptance, of which as a rule there is one."""
    if events and len(days) == 1:
        return dict.fromkeys(days, events)
    by_day: defaultdict[date, list[Event]] = defaultdict(list)
    for event in events:
        by_day[accepted_at(event.id).date()].append(event)
    return by_day


def _lost(writer: EventWriter, refused: RefusedRows) -> set[bytes]:
    """The ids of what was to be stored and was not."""
    return refused.ids.union(event.id for event in writer.duplicates)


def _counts(events: Iterable[Event], writer: EventWriter, refused: RefusedRows) -> Counter[UsageKey]:
    """Events by outcome: stored is what ended in no other way."""
    counts = _number_of(events, Outcome.STORED)
    counts.subtract(_number_of(writer.duplicates, Outcome.STORED))
    counts.update(_number_of(writer.duplicates, Outcome.DUPLICATE))
    for letter in refused.letters:
        counts[_key_of(letter, Outcome.STORED)] -= 1
    return +counts


def _of_discarded_stacks(events: Iterable[Event]) -> Counter[UsageKey]:
    return _number_of(events, Outcome.DISCARDED, DiscardReason.DISCARDED_STACK)


def _number_of(events: Iterable[Event], outcome: Outcome, reason: str = "") -> Counter[UsageKey]:
    """First by moment, where nothing must be computed for each event: that takes a fifth of the time."""
    counts: Counter[UsageKey] = Counter()
    for (project_id, moment), number in Counter(map(_owner_and_moment, events)).items():
        counts[UsageKey(UUID(bytes=project_id), _hour(moment), outcome, reason)] += number
    return counts


def _dead_letters(letters: Iterable[DeadLetter]) -> Counter[UsageKey]:
    return Counter(_key_of(letter, Outcome.DEAD_LETTERED, letter.reason) for letter in letters)


def _key_of(letter: DeadLetter, outcome: Outcome, reason: str = "") -> UsageKey:
    return UsageKey(letter.project_id or NO_PROJECT, _hour(letter.accepted_utc), outcome, reason)


def _discards(discarded: Counter[Discard]) -> Counter[UsageKey]:
    return Counter(
        {
            UsageKey(discard.project_id, discard.hour, Outcome.DISCARDED, discard.reason): number
            for discard, number in discarded.items()
        }
    )


def _whole(batches: Iterable[UnderstoodBatch]) -> int:
    return sum(not batch.is_part for batch in batches)


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)

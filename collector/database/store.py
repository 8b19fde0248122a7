"""The store: everything that became of post batches, in one transaction each time, and each batch once."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from collector.database.dead_letters import keep_dead_letters
from collector.database.errors import DatabaseUnavailable
from collector.database.finished import count_finished
from collector.database.leaves import make_missing_leaves
from collector.database.pool import connected
from collector.database.stored_batches import remember
from collector.database.usage import UsageKey, add_usage
from collector.domain.identifiers import accepted_at
from collector.domain.outcome import DeadLetter, DeadLetterReason, Event, Outcome, Tally, UnderstoodBatch

NO_PROJECT: Final = UUID(int=0)
"""What a dead letter is counted under when its project is unknown."""

_COLUMNS: Final = (
    "id, project_id, organization_id, stack_id, date, created_utc, count, date_offset_minutes,"
    " is_first_occurrence, reference_id, type, message, source, tags, value, geo, data"
)
_STAGING: Final = "CREATE TEMP TABLE IF NOT EXISTS staging (LIKE events) ON COMMIT DELETE ROWS"
_MOVE: Final = (
    f"INSERT INTO events ({_COLUMNS}) SELECT {_COLUMNS} FROM staging"  # noqa: S608 - constants only
    ' ORDER BY project_id, reference_id COLLATE "C", id ON CONFLICT DO NOTHING RETURNING id'
)

_DATA_FAULTS: Final = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,  # too deep or too long for jsonb
    ValueError,  # what the driver cannot encode, before it reaches the server
    OverflowError,
)


@dataclass(slots=True)
class _Stored:
    """What a transaction has stored and refused so far."""

    ids: set[UUID] = field(default_factory=set)
    refused: list[DeadLetter] = field(default_factory=list)


class BatchStore:
    """Stores understood batches through a pool of connections."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def save(self, batches: Sequence[UnderstoodBatch]) -> Tally:
        """Store events, dead letters and counts of all batches in one transaction, each batch id once.

        Raises DatabaseUnavailable when it should be repeated; then either nothing or all of it is stored, and
        repeating is safe. A row that Postgres can never take becomes a dead letter and costs only itself.
        """
        days = {accepted_at(event.id.bytes).date() for batch in batches for event in batch.events}
        async with connected(self._pool) as connection:
            await make_missing_leaves(connection, days)
            async with connection.transaction():
                return await _save(connection, batches)


async def _save(connection: asyncpg.Connection, batches: Sequence[UnderstoodBatch]) -> Tally:
    remembered = await remember(connection, batches)
    new = remembered.new
    events = sorted((event for batch in new for event in batch.events), key=_locking_order)
    stored = _Stored()
    if events:
        await connection.execute(_STAGING)
        await _insert(connection, events, stored)
    letters = [letter for batch in new for letter in batch.dead_letters] + stored.refused
    await keep_dead_letters(connection, letters)
    discarded = sum((batch.discarded for batch in new), Counter())
    counts = _counts(events, stored, letters)
    for discard, number in discarded.items():
        counts[UsageKey(discard.project_id, discard.hour, Outcome.DISCARDED, discard.reason)] += number
    await add_usage(connection, counts)
    await count_finished(connection, remembered)
    return Tally(
        stored=len(stored.ids),
        duplicate=len(events) - len(stored.ids) - len(stored.refused),
        discarded=discarded.total(),
        dead_lettered=len(letters),
        replayed=len(batches) - len(new) - len(remembered.repeated),
        repeated=len(remembered.repeated),
    )


def _locking_order(event: Event) -> tuple[bytes, str, bytes]:
    """Transactions with the same references wait for each other's rows in this order: never in a circle."""
    return event.project_id.bytes, event.reference_id or "\U0010ffff", event.id.bytes


async def _insert(connection: asyncpg.Connection, events: Sequence[Event], stored: _Stored) -> None:
    """Insert events through the empty staging table; where one is refused, each half by itself."""
    try:
        async with connection.transaction():
            await connection.copy_records_to_table(
                "staging", records=map(_row, events), columns=_COLUMNS.split(", ")
            )
            stored.ids.update(row["id"] for row in await connection.fetch(_MOVE))
    except _DATA_FAULTS as error:
        if _is_missing_leaf(error):
            raise DatabaseUnavailable("A leaf was dropped in between; it is made again.") from error
        if len(events) == 1:
            stored.refused.append(_dead_letter(events[0], error))
            return
        middle = len(events) // 2
        await _insert(connection, events[:middle], stored)
        await connection.execute("TRUNCATE staging")
        await _insert(connection, events[middle:], stored)


def _row(event: Event) -> tuple[object, ...]:
    """In the order of `_COLUMNS`."""
    return (
        event.id,
        event.project_id,
        event.organization_id,
        event.stack_id,
        event.date,
        event.created_utc,
        event.count,
        event.date_offset_minutes,
        event.is_first_occurrence,
        event.reference_id,
        event.type,
        event.message,
        event.source,
        event.tags,
        event.value,
        event.geo,
        event.data,
    )


def _is_missing_leaf(error: Exception) -> bool:
    """Postgres reports a row without a partition as a violated check that has no name."""
    return isinstance(error, asyncpg.CheckViolationError) and not error.constraint_name


def _dead_letter(event: Event, error: Exception) -> DeadLetter:
    """The event as JSON, with its data as it was to be stored."""
    members = {
        "type": event.type,
        "date": event.date,
        "reference_id": event.reference_id,
        "message": event.message,
        "source": event.source,
        "tags": event.tags,
        "value": event.value,
        "count": event.count,
        "geo": event.geo,
    }
    body = json.dumps({name: value for name, value in members.items() if value is not None}, default=str)
    data = b"" if event.data is None else b', "data": ' + event.data
    return DeadLetter(
        id=event.id,
        reason=DeadLetterReason.REFUSED_BY_DATABASE,
        detail=f"{type(error).__name__}: {error}",
        body=body[:-1].encode() + data + b"}",
        accepted_utc=accepted_at(event.id.bytes),
        project_id=event.project_id,
        organization_id=event.organization_id,
        content_type="application/json",
    )


def _counts(events: Iterable[Event], stored: _Stored, letters: Iterable[DeadLetter]) -> Counter[UsageKey]:
    """Events by outcome; what was neither stored nor refused met its reference id or itself."""
    counts: Counter[UsageKey] = Counter()
    refused = {letter.id for letter in stored.refused}
    for event in events:
        if event.id not in refused:
            outcome = Outcome.STORED if event.id in stored.ids else Outcome.DUPLICATE
            counts[UsageKey(event.project_id, _hour(accepted_at(event.id.bytes)), outcome)] += 1
    for letter in letters:
        project_id = letter.project_id or NO_PROJECT
        hour = _hour(letter.accepted_utc)
        counts[UsageKey(project_id, hour, Outcome.DEAD_LETTERED, letter.reason)] += 1
    return counts


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)

"""How the events of one transaction get into `events`.

Straight into their partitions, or else through staging.

The fast path is a binary COPY into the day's partition: nothing but the server's own work. It knows no ON
CONFLICT: when a unique index or anything else objects, that day's events are staged, which sorts out which.
A stream in which repeats are found goes on staging until none are: a COPY that fails leaves dead rows behind.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from datetime import date
from itertools import islice, pairwise
from operator import attrgetter, eq
from typing import Final

import asyncpg

from collector.database.errors import DATA_FAULTS, DatabaseUnavailable
from collector.database.schema.partitions import partition_name
from collector.database.writing.copy_format import COLUMNS, COPY_END, COPY_HEAD, UNPACKABLE, packed_rows
from collector.database.writing.midnight_dedup import Midnight
from collector.database.writing.rejected_rows import RejectedRows
from collector.database.writing.staging import Staging
from collector.domain.event.build import INVALID_REFERENCE_ID
from collector.domain.event.outcome import Event

_AT_ONCE: Final = 500
_NO_REFERENCES: Final = (None, INVALID_REFERENCE_ID)
_project_id: Final = attrgetter("project_id")
_reference_id: Final = attrgetter("reference_id")
_id: Final = attrgetter("id")


class EventWriter:
    """Writes into `events` within a transaction; what was not stored is in `duplicates` and `refused`.

    `is_direct` says whether to try the fast path first, and afterwards whether to do so the next time.
    """

    def __init__(
        self,
        connection: asyncpg.Connection,
        midnight: Midnight | None,
        refused: RejectedRows,
        *,
        is_direct: bool,
    ) -> None:
        self.duplicates: list[Event] = []
        self.is_direct = is_direct
        self._connection = connection
        self._midnight = midnight
        self._refused = refused
        self._staging = Staging(connection, refused)

    async def write(self, days: Mapping[date, Sequence[Event]]) -> None:
        """Store the events of each day: the earliest first, for the first of a reference wins."""
        for day in sorted(days):
            await self._write_day(day, days[day])

    async def _write_day(self, day: date, events: Sequence[Event]) -> None:
        if self._midnight is not None:
            events = self._without(await self._midnight.repeats(self._connection, day, events), events)
        ordered = _in_locking_order(events)
        repeated = _repeated(ordered)
        if self.is_direct and await self._is_copied(day, events, _others(ordered, repeated)):
            self.duplicates += [event for event in ordered if event.id in repeated]
            return
        # With its repeats: where the first of them is refused, the next one takes its place.
        stored = await self._staging.store(ordered) | self._refused.ids
        duplicates = [event for event in ordered if event.id not in stored]
        self.is_direct = len(duplicates) <= len(repeated)
        self.duplicates += duplicates

    def _without(self, repeats: set[bytes], events: Sequence[Event]) -> Sequence[Event]:
        self.duplicates += [event for event in events if event.id in repeats]
        return _others(events, repeats)

    async def _is_copied(self, day: date, events: Sequence[Event], ordered: Sequence[Event]) -> bool:
        """Whether the partition took those in `ordered`, some or all of the events.

        Otherwise it took none.
        """
        try:
            rows = await _rows_by_id(events)
        except UNPACKABLE:
            return False
        try:
            async with self._connection.transaction():
                await self._connection.copy_to_table(
                    partition_name(day), source=_copied(ordered, rows), columns=COLUMNS, format="binary"
                )
        except asyncpg.UndefinedTableError as error:
            raise DatabaseUnavailable("A partition was dropped in between; it is made again.") from error
        except DATA_FAULTS:
            return False
        return True


def _in_locking_order(events: Iterable[Event]) -> list[Event]:
    """By project, reference and id; events without a reference come last, for nobody waits for them.

    Transactions with the same references wait for each other's rows in this order: never in a circle.
    """
    referring: list[Event] = []
    others: list[Event] = []
    for event in events:
        (others if event.reference_id is None else referring).append(event)
    for key in (_id, _reference_id, _project_id):  # in half the time of one sort by all three
        referring.sort(key=key)
    return referring + others


def _repeated(ordered: Sequence[Event]) -> set[bytes]:
    """The ids of the events whose reference an earlier one of them has."""
    references = list(map(_reference_id, ordered))
    if not any(map(eq, references, islice(references, 1, None))):  # as a rule: in a quarter of the time
        return set()
    return {
        event.id
        for before, event in pairwise(ordered)
        if event.reference_id not in _NO_REFERENCES
        and (before.project_id, before.reference_id) == (event.project_id, event.reference_id)
    }


def _others(events: Sequence[Event], ids: set[bytes]) -> Sequence[Event]:
    return [event for event in events if event.id not in ids] if ids else events


async def _rows_by_id(events: Sequence[Event]) -> dict[bytes, bytes]:
    """In the order of arrival, as they lie in memory: in the other order each takes half as long again."""
    rows: dict[bytes, bytes] = {}
    for some in _slices(events):
        rows.update(zip(map(_id, some), packed_rows(some), strict=True))
        await asyncio.sleep(0)  # another slot's rows go on their way meanwhile
    return rows


async def _copied(ordered: Sequence[Event], rows: Mapping[bytes, bytes]) -> AsyncIterator[bytes]:
    """A whole COPY, in chunks that the server takes in while the next one is made."""
    yield COPY_HEAD
    for some in _slices(ordered):
        yield b"".join([rows[event.id] for event in some])
    yield COPY_END


def _slices(events: Sequence[Event]) -> Iterator[Sequence[Event]]:
    """Some 250 KB at a time."""
    return (events[start : start + _AT_ONCE] for start in range(0, len(events), _AT_ONCE))

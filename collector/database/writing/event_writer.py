"""Writes the events of one transaction into `events`: straight into their partitions, or through staging.

The fast path is a binary COPY into the day's partition, which costs the server the least. COPY has no ON
CONFLICT, so when it fails (a repeated reference, a bad value) that day's events go through the staging table,
which finds out which of them to leave out. After duplicates were found the next transactions start with
staging, until one finds none: a COPY that fails leaves dead rows behind.
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

_CHUNK: Final = 500
"""Events; some 250 KB."""
_NO_REFERENCES: Final = (None, INVALID_REFERENCE_ID)
_project_id: Final = attrgetter("project_id")
_reference_id: Final = attrgetter("reference_id")
_id: Final = attrgetter("id")


class EventWriter:
    """Writes into `events` within a transaction. Events not stored are in `duplicates` or `rejected`.

    `is_direct` says whether to try the fast path first; after writing, whether the next transaction should.
    """

    def __init__(
        self,
        connection: asyncpg.Connection,
        midnight: Midnight | None,
        rejected: RejectedRows,
        *,
        is_direct: bool,
    ) -> None:
        self.duplicates: list[Event] = []
        self.is_direct = is_direct
        self._connection = connection
        self._midnight = midnight
        self._rejected = rejected
        self._staging = Staging(connection, rejected)

    async def write(self, days: Mapping[date, Sequence[Event]]) -> None:
        """Store the events of each day, the earliest day first: the first event with a reference wins."""
        for day in sorted(days):
            events = days[day]
            if self._midnight is not None:
                repeats = await self._midnight.repeats(self._connection, day, events)
                self.duplicates += [event for event in events if event.id in repeats]
                events = _without(repeats, events)
            ordered = _in_locking_order(events)
            repeated = _repeated(ordered)
            # The fast path takes all events but those whose reference repeats within this transaction.
            if self.is_direct and await self._try_copy(day, events, _without(repeated, ordered)):
                self.duplicates += [event for event in ordered if event.id in repeated]
                continue
            # Staging gets the repeats too: if the first event of a reference is rejected, the next is stored.
            stored = await self._staging.store(ordered) | self._rejected.ids
            duplicates = [event for event in ordered if event.id not in stored]
            self.is_direct = len(duplicates) <= len(repeated)
            self.duplicates += duplicates

    async def _try_copy(self, day: date, events: Sequence[Event], ordered: Sequence[Event]) -> bool:
        """COPY the events in `ordered`, which are some or all of `events`. False: none was stored."""
        rows: dict[bytes, bytes] = {}
        try:
            # In the order of arrival, which is the order in memory: any other takes half as long again.
            for chunk in _chunks(events):
                rows.update(zip(map(_id, chunk), packed_rows(chunk), strict=True))
                await asyncio.sleep(0)  # let other slots send their rows
        except UNPACKABLE:
            return False
        try:
            async with self._connection.transaction():
                await self._connection.copy_to_table(
                    partition_name(day), source=_copy_chunks(ordered, rows), columns=COLUMNS, format="binary"
                )
        except asyncpg.UndefinedTableError as error:
            raise DatabaseUnavailable(
                "A partition was dropped in the meantime; the next attempt makes it again."
            ) from error
        except DATA_FAULTS:
            return False
        return True


def _in_locking_order(events: Iterable[Event]) -> list[Event]:
    """By project, reference and id; events without a reference come last, since they block no transaction.

    Transactions with the same references wait for each other's rows in this order, so they cannot deadlock.
    """
    referring: list[Event] = []
    others: list[Event] = []
    for event in events:
        (others if event.reference_id is None else referring).append(event)
    # Three stable sorts take half the time of one sort by a tuple.
    for key in (_id, _reference_id, _project_id):
        referring.sort(key=key)
    return referring + others


def _repeated(ordered: Sequence[Event]) -> set[bytes]:
    """The ids of the events whose reference an earlier event has."""
    references = list(map(_reference_id, ordered))
    # The common case first, without a loop in Python.
    if not any(map(eq, references, islice(references, 1, None))):
        return set()
    return {
        event.id
        for before, event in pairwise(ordered)
        if event.reference_id not in _NO_REFERENCES
        and (before.project_id, before.reference_id) == (event.project_id, event.reference_id)
    }


def _without(ids: set[bytes], events: Sequence[Event]) -> Sequence[Event]:
    return [event for event in events if event.id not in ids] if ids else events


async def _copy_chunks(ordered: Sequence[Event], rows: Mapping[bytes, bytes]) -> AsyncIterator[bytes]:
    """The bytes of a COPY, in chunks: the server reads one while the next one is joined."""
    yield COPY_HEAD
    for chunk in _chunks(ordered):
        yield b"".join([rows[event.id] for event in chunk])
    yield COPY_END


def _chunks(events: Sequence[Event]) -> Iterator[Sequence[Event]]:
    return (events[start : start + _CHUNK] for start in range(0, len(events), _CHUNK))

"""Which part of a day's partition gets the next index of words, and how many events a part has.

A part is a range of times of acceptance, and so of ids. Few events shall be without an index, and there shall
be few indexes, so the present day grows as a log-structured merge tree does: a new part for what has come in,
and neighbours merged when there are many.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import date
from itertools import pairwise
from typing import Final, NamedTuple
from uuid import UUID

import asyncpg

from collector.database.schema.partitions import partition_name
from collector.domain.ids import DAY_MS, accepted_ms, ids_of_day, lowest_id_at_ms

STEP_EVENTS: Final = 150_000
"""The job builds an index once the present day has this many events without one."""
STEP_SHARE: Final = 1 / 32
"""Or this share of the day: each build reads the whole partition."""
MOST_PARTS: Final = 16
"""Storing compares the id of each event with the range of every index."""
MERGED_PARTS: Final = 8
LARGE_EVENTS: Final = 5_000_000
"""The most events of one index: while one is built, no other can be completed."""


_RANGE: Final = re.compile(r"_words(?:_(\d{8})_(\d{8}))?$")
_SAMPLE_BLOCKS: Final = 100

_SIZE: Final = """
    SELECT (pg_relation_size(oid) / current_setting('block_size')::int)::bigint AS blocks,
        CASE WHEN relpages > 0 THEN reltuples / relpages END::float8 AS density
    FROM pg_class WHERE oid = to_regclass($1)
"""

Range = tuple[int, int]
"""Of times of acceptance, in milliseconds of the day: the first is inclusive, the second exclusive."""
IdRange = tuple[UUID, UUID]


class Part(NamedTuple):
    """A range of a day, and about how many events it has."""

    begin: int
    end: int
    events: int


def next_part(parts: Sequence[Part], gaps: Sequence[Part], *, events: int) -> Range | None:
    """The range of the present day to build an index for: a new one, or one in place of several small ones.

    A gap that is not the last one had an index, which is gone.
    """
    least = max(STEP_EVENTS, events * STEP_SHARE)
    for number, gap in enumerate(gaps, 1):
        if number < len(gaps) or gap.events >= least:
            return gap.begin, gap.end
    if len(parts) <= MOST_PARTS:
        return None
    # The cheapest neighbours, as many as make no index that is too large.
    for number in range(MERGED_PARTS, 1, -1):
        windows = [parts[first : first + number] for first in range(len(parts) - number + 1)]
        sizes = [(sum(part.events for part in window), window) for window in windows]
        small = [(size, window) for size, window in sizes if size <= LARGE_EVENTS and _adjoin(window)]
        if small:
            _, window = min(small, key=lambda each: each[0])
            return window[0].begin, window[-1].end
    return None


def _adjoin(parts: Sequence[Part]) -> bool:
    return all(part.end == following.begin for part, following in pairwise(parts))


def chosen_ranges(names: Iterable[str]) -> tuple[Range, ...]:
    """The ranges of indexes to search by: after a merge the large one is there beside those it replaces."""
    chosen: list[Range] = []
    for begin, end in sorted(map(range_of_index, names), key=lambda each: (each[0], -each[1])):
        if not chosen or begin >= chosen[-1][1]:
            chosen.append((begin, end))
    return tuple(chosen)


def gaps_between(indexed: Sequence[Range]) -> tuple[Range, ...]:
    """The rest of the day."""
    ends = (0, *(end for _, end in indexed))
    begins = (*(begin for begin, _ in indexed), DAY_MS)
    return tuple((end, begin) for end, begin in zip(ends, begins, strict=True) if end < begin)


def range_of_index(name: str) -> Range:
    """What the index with this name covers."""
    found = _RANGE.search(name)
    return (0, DAY_MS) if found is None or found[1] is None else (int(found[1]), int(found[2]))


def ids_of_range(day: date, part: Range) -> IdRange:
    """The ids of events accepted within this part of the day."""
    begin = accepted_ms(ids_of_day(day)[0].bytes)
    return lowest_id_at_ms(begin + part[0]), lowest_id_at_ms(begin + part[1])


class PartitionHeap:
    """Where in a partition's table events lie: rows are appended, nearly in the order of acceptance."""

    def __init__(self, connection: asyncpg.Connection, day: date, blocks: int, density: float) -> None:
        self._connection = connection
        self._day = day
        self._blocks = blocks
        self._density = density

    @classmethod
    async def of(cls, connection: asyncpg.Connection, day: date) -> "PartitionHeap | None":
        """None if there is no such table."""
        name = partition_name(day)
        row = await connection.fetchrow(_SIZE, name)
        if row is None:
            return None
        density = row["density"]
        if not density:
            sample = min(max(row["blocks"], 1), _SAMPLE_BLOCKS)
            found = await connection.fetchval(
                f"SELECT count(*) FROM {name} WHERE ctid < $1::tid",  # noqa: S608 - a partition's name
                (sample, 0),
            )
            density = found / sample
        return cls(connection, day, row["blocks"], density)

    @property
    def events(self) -> int:
        """About how many there are."""
        return int(self._blocks * self._density)

    async def events_before(self, ms: int) -> int:
        """About how many were accepted before this time of the day; a binary search."""
        first, last, wanted = 0, self._blocks, ids_of_range(self._day, (ms, ms))[0]
        while first < last:
            middle = (first + last) // 2
            found = await self._first_id(middle, last)
            if found is not None and found < wanted:
                first = middle + 1
            else:
                last = middle
        return int(first * self._density)

    async def time_after(self, events: int) -> int:
        """The time of the day by which about that number of events was accepted."""
        found = await self._first_id(int(events / max(self._density, 0.01)), self._blocks)
        begin = ids_of_day(self._day)[0]
        return DAY_MS if found is None else accepted_ms(found.bytes) - accepted_ms(begin.bytes)

    async def _first_id(self, block: int, end: int) -> UUID | None:
        found: UUID | None = await self._connection.fetchval(
            f"SELECT id FROM {partition_name(self._day)}"  # noqa: S608 - a partition's name
            " WHERE ctid >= $1::tid AND ctid < $2::tid LIMIT 1",
            (block, 0),
            (end, 0),
        )
        return found

"""Searches by the indexes of words: which partitions or parts of them have one, and whether to use it.

An index finds all events of a day that contain a word before the first of them can be read, and the text of
each is made again. For a word that many events have, reading the events in the order of the list is faster: a
sample of events tells.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import asyncpg

from collector.database.schema.word_index_parts import IdRange
from collector.database.schema.word_indexes import IndexedDay, indexed_days, seen_letters
from collector.database.search.filter_sql import Arguments
from collector.database.search.word_filter import Need, need_condition, need_of
from collector.domain.dates.datemath import LocalClock
from collector.domain.dates.time_range import TimeRange
from collector.domain.filter.tree import Filter
from collector.domain.ids import accepted_at, ids_of_day

_BELATED: Final = timedelta(seconds=30)
"""Most events are dated at most so long before they are accepted; the others take another statement."""
_FEW_EVENTS: Final = 5000.0
"""Reading so few takes less time than deciding."""
_SAMPLE_EVENTS: Final = 200.0
_SAMPLE_DAYS: Final = 8
"""Finding the blocks of a sample takes time in proportion to the sizes of the partitions."""
_COST_BYTES: Final = 60.0
"""The bytes of an event's text that take as long to make as another event takes to read."""

_SAMPLE: Final = """
    WITH e AS MATERIALIZED (
        SELECT * FROM events AS e TABLESAMPLE SYSTEM ({percent:.6f}) WHERE {days}
    )
    SELECT count(*) AS read, count(*) FILTER (WHERE {within}) AS within,
        coalesce(sum(100 + coalesce(pg_column_size(e.data), 0)) FILTER (WHERE e.is_needed), 0)::float8
            AS bytes,
        count(*) FILTER (WHERE e.is_needed AND {exact}) AS matching
    FROM (SELECT *, {need} AS is_needed FROM e OFFSET 0) AS e
"""

Write = Callable[[Arguments], str]
"""Writes a condition on `events AS e`."""


@dataclass(frozen=True, slots=True)
class WordScan:
    """How to find events by the indexes of words: what they need, and the days that have indexes.

    Conditions on ids divide the events: `others` of days without an index, the `rest` of days that have some
    for parts of them, and those `covered` by an index. Each index that covers a part of a day is used only by
    a statement about this part, because Postgres must prove that the index has all of it.
    """

    need: Need
    days: Sequence[IndexedDay]

    @property
    def latest(self) -> datetime:
        """No event of a day with an index is dated later."""
        return max(day.latest for day in self.days)

    @property
    def since(self) -> datetime | None:
        """Begin of the present: of days with an index, few events that are in none are dated before."""
        ends = [accepted_at(day.rest[-1][0].bytes) for day in self.days if day.rest]
        return max(ends) - _BELATED if ends else None

    def indexed(self) -> list[Write]:
        """The conditions that an index finds an event: one for all whole days, and one for each part."""
        whole = [ids for day in self.days for ids in day.indexed if ids == ids_of_day(day.day)]
        parts = [ids for day in self.days for ids in day.indexed if ids not in whole]

        def condition(ranges: Sequence[IdRange], arguments: Arguments) -> str:
            return f"{_within(ranges, arguments)} AND {need_condition(self.need, arguments.add)}"

        return [
            partial(condition, ranges) for ranges in (_joined(whole), *([part] for part in parts)) if ranges
        ]

    def covered(self, arguments: Arguments) -> str:
        """The condition that an index would find an event that has the words."""
        return _within(_joined([ids for day in self.days for ids in day.indexed]), arguments)

    @property
    def rest(self) -> Write | None:
        """The condition that an event is of one of the days, but no index covers it; None if all are."""
        ranges = [ids for day in self.days for ids in day.rest]
        return partial(_within, ranges) if ranges else None

    def others(self, arguments: Arguments) -> str:
        """The condition that an event is of any other day."""
        spans = _joined([ids_of_day(day.day) for day in self.days])
        begins = [f"e.id >= {arguments.add(end)}" for _, end in spans]
        ends = [f"e.id < {arguments.add(begin)}" for begin, _ in spans]
        # Before the first span, between two of them, after the last.
        between = [f"{begin} AND {end}" for begin, end in zip(begins, ends[1:], strict=False)]
        return f"({' OR '.join([ends[0], *between, begins[-1]])})"


async def find_word_scan(
    connection: asyncpg.Connection, tree: Filter, clock: LocalClock, dates: TimeRange
) -> WordScan | None:
    """How indexes find the filter's events with these dates; None if there is nothing to gain."""
    need = need_of(tree, clock)
    if need is None:
        return None
    days = await indexed_days(connection, dates)
    if not days or sum(day.events for day in days) < _FEW_EVENTS:
        return None
    if foreign := need.foreign:
        need = need.seen_as(await seen_letters(connection, foreign))
    return None if need is None else WordScan(need, days)


async def word_scan_pays(
    connection: asyncpg.Connection, scan: WordScan, *, within: Write, exact: Write, limit: int | None
) -> bool:
    """Whether the indexes find fewer events than would be read without them, by a sample of their days.

    Without them, those `within` the selection's projects and dates are read until `limit` of them meet the
    `exact` condition of the selection, or all of them if it is None.
    """
    sampled = scan.days[:: -(-len(scan.days) // _SAMPLE_DAYS)]
    percent = 100 * _SAMPLE_EVENTS / max(sum(day.events for day in sampled), 1.0)
    arguments = Arguments()
    statement = _SAMPLE.format(
        percent=min(percent, 100.0),
        days=_within(_joined([ids for day in sampled for ids in day.indexed]), arguments),
        within=within(arguments),
        need=need_condition(scan.need, arguments.add),
        exact=exact(arguments),
    )
    row = await connection.fetchrow(statement, *arguments.values)
    scale = sum(day.events for day in scan.days) / max(row["read"], 1)
    read = row["within"] * scale
    # A page is full after some of them, if any match.
    if limit is not None and row["matching"]:
        read = min(read, limit * row["within"] / row["matching"])
    # The text is made once for each run that it is searched for.
    texts = row["bytes"] / _COST_BYTES * scan.need.size
    return bool(texts * scale < read)


def _joined(ranges: Sequence[IdRange]) -> list[IdRange]:
    """Adjoining ranges together; they are in order."""
    joined: list[IdRange] = []
    for begin, end in ranges:
        if joined and joined[-1][1] == begin:
            joined[-1] = joined[-1][0], end
        else:
            joined.append((begin, end))
    return joined


def _within(ranges: Sequence[IdRange], arguments: Arguments) -> str:
    parts = [f"e.id >= {arguments.add(begin)} AND e.id < {arguments.add(end)}" for begin, end in ranges]
    return f"({' OR '.join(parts)})"

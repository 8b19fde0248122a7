"""Lists of events: those of a selection, in order, a page at a time.

The default order, newest first, searches windows of dates that widen into the past until the page is full, so
that only the partitions of a window are read.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

import asyncpg

from collector.database.schema.partition_dates import id_range
from collector.database.search.filter_sql import Arguments, EventConditions
from collector.database.search.windows import widening_windows
from collector.domain.dates.datemath import LocalClock
from collector.domain.dates.time_range import TimeRange
from collector.domain.event.build import INVALID_REFERENCE_ID
from collector.domain.filter.dates import common_dates, date_bounds
from collector.domain.filter.sorting import DATE, NEWEST_FIRST, Cursor, Order
from collector.domain.filter.tree import And, Bound, Everything, Filter, Match, Range, Term
from collector.domain.ids import lowest_id

_CLOCKS_APART: Final = timedelta(hours=1)
"""An event is dated at most this long after its acceptance: the difference between two servers' clocks."""
_MICROSECOND: Final = timedelta(microseconds=1)
_EARLIEST: Final = datetime(1970, 1, 2, tzinfo=UTC)
_MANY_ARGUMENTS: Final = 100
"""About as many as four words in any field need.

Above it, conditions go into a subquery, which is planned once. Planned for each partition, 200 words took 394
MB of the server's memory on 31 partitions; in a subquery 144 MB, however many partitions there are.
"""
_STACK: Final = frozenset({"stack", "stack_id"})
_PINNING: Final = frozenset({"reference", "reference_id", "id"})

_COLUMNS: Final = {
    DATE: "e.date",
    "created": "e.created_utc",
    "value": "coalesce(e.value, '-Infinity')",
    "count": "coalesce(e.count, 1)",
    "type": 'e.type COLLATE "C"',
    "source": "coalesce(e.source, '') COLLATE \"C\"",
    "reference": "coalesce(e.reference_id, '') COLLATE \"C\"",
}
"""Expressions to sort by; missing values sort as the lowest."""
_TYPES: Final = {
    DATE: "timestamptz",
    "created": "timestamptz",
    "value": "numeric",
    "count": "integer",
    "type": "text",
    "source": "text",
    "reference": "text",
}
_PAGE: Final = """
    SELECT e.* FROM unnest({projects}::uuid[]) AS p (id) CROSS JOIN LATERAL (
        SELECT e.project_id, e.id{keys} FROM events AS e
        WHERE e.project_id = p.id AND {conditions}
        ORDER BY {order} LIMIT {limit}
    ) AS e ORDER BY {outer_order} LIMIT {limit}
"""
_FEW: Final = """
    WITH e AS MATERIALIZED (
        SELECT e.project_id, e.id{keys} FROM events AS e
        WHERE e.project_id = ANY({projects}::uuid[]) AND {conditions}
    ) SELECT * FROM e ORDER BY {outer_order} LIMIT {limit}
"""
"""For filters that an index answers: materialized, so that the planner does not walk the events by date."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The events of these projects that have dates in the range and match the filter.

    `ids`, if known, bounds their ids: the first is inclusive, the second exclusive.
    """

    project_ids: Sequence[UUID]
    filter: Filter
    time: TimeRange
    clock: LocalClock
    ids: tuple[UUID, UUID] | None = None

    @property
    def dates(self) -> TimeRange:
        """The range of its events' dates: its time, narrowed by the filter's conditions on dates."""
        return common_dates(self.time, date_bounds(self.filter, self.clock))

    def narrowed(self, *conditions: Filter) -> "Selection":
        """The selection with these conditions added."""
        return replace(self, filter=And((*conditions, self.filter)))

    @property
    def of_new_stacks(self) -> "Selection":
        """The selection without events of stacks that began before its time."""
        if self.time.begin is None:
            return self
        begin = Bound(self.time.begin.isoformat(), is_included=True)
        return self.narrowed(Match("first_occurrence", Range(begin, None)))


class FoundEvent(NamedTuple):
    """The key of an event, and its position in the list."""

    project_id: UUID
    id: UUID
    cursor: Cursor


async def find_events(
    connection: asyncpg.Connection,
    selection: Selection,
    order: Order = NEWEST_FIRST,
    *,
    limit: int,
    after: Cursor | None = None,
) -> list[FoundEvent]:
    """At most `limit` events of the selection in this order, beginning behind the cursor `after`."""
    found: list[FoundEvent] = []
    for window in _windows(selection, order, after):
        part = await with_id_bounds(connection, replace(selection, time=window))
        found += await _find(connection, part, order, limit - len(found), after)
        # The page is full: the older partitions stay unread.
        if len(found) >= limit:
            break
    return found


def goes_by_index(selection: Selection, order: Order) -> bool:
    """Whether an index yields a page of the selection at a cost independent of the number of events."""
    return (selection.filter == Everything() and order.is_by_date) or _is_pinned(selection.filter)


async def count_events(connection: asyncpg.Connection, selection: Selection) -> int:
    """How many events the selection holds."""
    arguments = Arguments()
    condition = where(await with_id_bounds(connection, selection), arguments)
    statement = f"SELECT count(*) FROM events AS e WHERE {condition}"  # noqa: S608
    number: int = await connection.fetchval(statement, *arguments.values)
    return number


async def with_id_bounds(connection: asyncpg.Connection, selection: Selection) -> Selection:
    """The selection with bounds on its ids, if its dates have an end: skips partitions of later events."""
    dates = selection.dates
    return selection if dates.end is None else replace(selection, ids=await id_range(connection, dates))


def where(selection: Selection, arguments: Arguments) -> str:
    """The condition on `events AS e` for a whole selection."""
    projects = f"{arguments.add(list(selection.project_ids))}::uuid[]"
    return f"e.project_id = ANY({projects}) AND {_conditions(selection, arguments, projects)}"


async def _find(
    connection: asyncpg.Connection, selection: Selection, order: Order, limit: int, after: Cursor | None
) -> list[FoundEvent]:
    arguments = Arguments()
    projects = arguments.add(list(selection.project_ids))
    conditions = _conditions(selection, arguments, f"{projects}::uuid[]")
    if after is not None:
        conditions += f" AND {_after(order, after, arguments)}"
    keys = [f"k{number}" for number in range(len(order.keys))]
    # Few events that an index finds, then sorted; or a walk along the order of each project.
    statement = (_FEW if _is_pinned(selection.filter) else _PAGE).format(
        projects=projects,
        keys="".join(f", {_COLUMNS[key.name]} AS {name}" for key, name in zip(order.keys, keys, strict=True)),
        conditions=conditions,
        order=_directed([_COLUMNS[key.name] for key in order.keys], order),
        outer_order=_directed([f"e.{name}" for name in keys], order),
        limit=arguments.add(limit),
    )
    rows = await connection.fetch(statement, *arguments.values)
    return [FoundEvent(row["project_id"], row["id"], Cursor(tuple(row[2:]), row["id"])) for row in rows]


def _conditions(selection: Selection, arguments: Arguments, projects: str) -> str:
    conditions = _filtering(
        selection.filter, EventConditions(arguments, projects, selection.clock), arguments
    )
    dates, ids = selection.dates, selection.ids
    # Ids begin with the time of acceptance: bounds on them let the planner skip partitions. Without looked-up
    # bounds only the lower one is known, as events may be accepted long after their dates.
    if ids is None and dates.begin is not None:
        conditions.append(f"e.id >= {arguments.add(lowest_id(max(dates.begin, _EARLIEST) - _CLOCKS_APART))}")
    elif ids is not None:
        conditions += [f"e.id >= {arguments.add(ids[0])}", f"e.id < {arguments.add(ids[1])}"]
    conditions += [
        f"e.date {operator} {arguments.add(bound)}"
        for operator, bound in ((">=", dates.begin), ("<", dates.end))
        if bound is not None
    ]
    return " AND ".join(conditions)


def _filtering(tree: Filter, conditions: EventConditions, arguments: Arguments) -> list[str]:
    """The conditions of a filter; those of a large one go into a subquery, which is planned only once.

    Conditions that use an index stay outside, because a subquery cannot use it.
    """
    before = len(arguments.values)
    parts = [(part, conditions.of(part)) for part in _conjuncts(tree)]
    # The usual filter: planning it for every partition costs little.
    if len(arguments.values) - before <= _MANY_ARGUMENTS:
        return [written for _, written in parts]
    indexed = [written for part, written in parts if _is_indexed(part)]
    others = [written for part, written in parts if not _is_indexed(part)]
    return [*indexed, f"(SELECT true WHERE {' AND '.join(others)})"] if others else indexed


def _conjuncts(tree: Filter) -> Iterator[Filter]:
    """The parts of a conjunction, flattened."""
    if isinstance(tree, And):
        for child in tree.children:
            yield from _conjuncts(child)
    else:
        yield tree


def _is_indexed(part: Filter) -> bool:
    """Whether an index finds the events that match."""
    return _is_pinned(part) or (isinstance(part, Match) and (part.field or "").lower() in _STACK)


def _windows(selection: Selection, order: Order, after: Cursor | None) -> Iterator[TimeRange]:
    """The ranges of dates to search, one after another."""
    begin, end = selection.dates.begin, selection.dates.end
    # Leave out the dates that the previous pages have covered; events with the cursor's own date may follow.
    if order.keys[0].name == DATE and after is not None:
        date: datetime = after.values[0]
        if not order.is_descending:
            begin = max(begin or date, date)
        else:  # `end` is exclusive
            last = date + _MICROSECOND if date < datetime.max.replace(tzinfo=UTC) else date
            end = min(end or last, last)
    # Other orders need all events, and an index finds pinned ones wherever they are.
    if not order.is_by_date or not order.is_descending or _is_pinned(selection.filter):
        yield TimeRange(begin, end)
        return
    yield from widening_windows(TimeRange(begin, end), selection.clock.now)


def _is_pinned(tree: Filter) -> bool:
    """Whether an index finds the few matching events at any date: windows would only add cost."""
    match tree:
        case And(children):
            return any(_is_pinned(child) for child in children)
        case Match(field, Term() as term):
            is_pinning = (field or "").lower() in _PINNING and not term.has_wildcards
            return is_pinning and term.text != INVALID_REFERENCE_ID
        case _:
            return False


def _after(order: Order, cursor: Cursor, arguments: Arguments) -> str:
    """The condition that an event comes after the cursor: the first key that differs decides."""
    columns = [(f"({_COLUMNS[key.name]})", key.is_descending, f"::{_TYPES[key.name]}") for key in order.keys]
    columns.append(("e.id", order.is_descending, "::uuid"))
    values = [
        f"{arguments.add(value)}{type_}"
        for value, (_, _, type_) in zip((*cursor.values, cursor.id), columns, strict=True)
    ]
    # k1 > v1, or k1 = v1 and k2 > v2, and so on.
    cases = []
    for number, (column, is_descending, _) in enumerate(columns):
        equal = [f"{columns[before][0]} = {values[before]}" for before in range(number)]
        cases.append(" AND ".join([*equal, f"{column} {'<' if is_descending else '>'} {values[number]}"]))
    return f"({' OR '.join(f'({case})' for case in cases)})"


def _directed(columns: Sequence[str], order: Order) -> str:
    parts = [
        f"{column}{_direction(key.is_descending)}" for column, key in zip(columns, order.keys, strict=True)
    ]
    return ", ".join([*parts, f"e.id{_direction(order.is_descending)}"])


def _direction(is_descending: bool) -> str:  # noqa: FBT001 - its only parameter
    return " DESC" if is_descending else ""

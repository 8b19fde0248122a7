"""Lists of events: those of a selection, in order, a page at a time.

The default order, newest first, searches windows of dates that widen into the past until the page is full, so
that only the partitions of a window are read.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from math import inf
from typing import Any, Final, NamedTuple, TypeVar
from uuid import UUID

import asyncpg

from collector.database.errors import QueryTooSlow
from collector.database.schema.partition_dates import earliest_date, id_range
from collector.database.search.filter_sql import Arguments, EventConditions, StackConditions
from collector.database.search.rollup_sql import (
    EVENTS,
    Rollups,
    Tier,
    between,
    find_rollups,
    rollup_table,
)
from collector.database.search.windows import DateWindows
from collector.database.search.word_scan import WordScan, Write, find_word_scan, word_scan_pays
from collector.domain.dates.datemath import LocalClock
from collector.domain.dates.time_range import TimeRange
from collector.domain.event.build import INVALID_REFERENCE_ID
from collector.domain.filter.dates import common_dates, date_bounds
from collector.domain.filter.fields import resolve_field
from collector.domain.filter.sorting import DATE, NEWEST_FIRST, Cursor, Order
from collector.domain.filter.tree import (
    And,
    Bound,
    Everything,
    Filter,
    Match,
    Not,
    Or,
    Range,
    Term,
    all_conditions,
)
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
_WINDOW_SECONDS: Final = 2.0
"""A window that takes longer is cut."""
_LEAST_SECONDS: Final = 0.1
"""Not worth beginning another window."""
_FREQUENT: Final = 0.001
"""From this share of all events on, a walk meets a page of them soon."""
_MANY_STACKS: Final = 1000
_SAMPLE_EVENTS: Final = 100_000
_MANY_EVENTS: Final = 100 * _SAMPLE_EVENTS
"""Assumed where rollups do not know the number."""
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

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Selection:
    """The events of these projects that have dates in the range and match the filter.

    `plan`, if known, is how to find those of the stacks that the filter is about.
    `ids`, if known, bounds their ids: the first is inclusive, the second exclusive. `rollups`, if found,
    count them. With a `sample`, in per cent, counts that read events read only these, and are estimates.
    `words`, if it pays, finds them by indexes of words.
    """

    project_ids: Sequence[UUID]
    filter: Filter
    time: TimeRange
    clock: LocalClock
    ids: tuple[UUID, UUID] | None = None
    rollups: Rollups | None = None
    sample: float | None = None
    plan: "StackPlan | None" = None
    words: WordScan | None = None

    @property
    def scale(self) -> float:
        """How many events each one read stands for."""
        return 1.0 if self.sample is None else 100 / self.sample

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


@dataclass(frozen=True, slots=True)
class StackPlan:
    """How a list finds events of certain stacks.

    The events of these few stacks (`stack_ids`) are looked up. If it is None they are so frequent that a walk
    through all events by date soon meets them.
    """

    stack_ids: Sequence[UUID] | None


class FoundEvent(NamedTuple):
    """The key of an event, and its position in the list."""

    project_id: UUID
    id: UUID
    cursor: Cursor


class FoundPage(NamedTuple):
    """Events of a list, and if time ran out before it was searched through, how far it was.

    `rest` are the dates that were not searched. A list by date continues behind `cursor`, in other orders the
    events are the first of those that were searched.
    """

    events: list[FoundEvent]
    rest: TimeRange | None = None
    cursor: Cursor | None = None


async def find_events(
    connection: asyncpg.Connection,
    selection: Selection,
    order: Order = NEWEST_FIRST,
    *,
    limit: int,
    after: Cursor | None = None,
) -> list[FoundEvent]:
    """At most `limit` events of the selection in this order, beginning behind the cursor `after`."""
    page = await find_page(connection, selection, order, limit=limit, after=after)
    return page.events


async def find_page(  # noqa: PLR0913 - all but three are optional
    connection: asyncpg.Connection,
    selection: Selection,
    order: Order = NEWEST_FIRST,
    *,
    limit: int,
    after: Cursor | None = None,
    seconds: float | None = None,
    timer: Callable[[], float] = time.monotonic,
) -> FoundPage:
    """At most `limit` events, as `find_events` finds them, and of these what is found within `seconds`.

    Raises QueryTooSlow if not even a short window can be searched.
    """
    whole = _dates(selection, order, after)
    selection = replace(selection, plan=await _plan(connection, selection))
    # An index finds pinned events wherever they are.
    if _is_pinned(selection.filter) or (seconds is None and not order.is_by_date):
        part = await with_id_bounds(connection, replace(selection, time=whole))
        return FoundPage(await _find_by_words(connection, part, order, limit, after))
    is_newest_first = order.is_descending or not order.is_by_date
    if whole.begin is None and (not is_newest_first or seconds is not None):
        whole = replace(whole, begin=await earliest_date(connection))
    windows = DateWindows(whole, selection.clock.now, is_newest_first=is_newest_first)
    until = timer() + (inf if seconds is None else seconds)
    found: list[FoundEvent] = []
    while (window := windows.take()) is not None:
        began = timer()
        part = await with_id_bounds(connection, replace(selection, time=window))
        missing = limit - len(found) if order.is_by_date else limit
        try:
            async with bounded(connection, min(until - began, _WINDOW_SECONDS if seconds else inf)):
                found += await _find_by_words(connection, part, order, missing, after)
        except asyncpg.QueryCanceledError:
            if not windows.cut():
                raise
        else:
            windows.done(0.0 if seconds is None else timer() - began)
        if order.is_by_date and len(found) >= limit:
            return FoundPage(found)
        if windows.rest is not None and timer() > until - _LEAST_SECONDS:
            return _partial(found, windows, order, limit, whole)
    return FoundPage(found if order.is_by_date else _sorted(found, order)[:limit])


async def _find_by_words(
    connection: asyncpg.Connection, selection: Selection, order: Order, limit: int, after: Cursor | None
) -> list[FoundEvent]:
    """As `_find`, where there are indexes of words by these, if that pays."""
    scan = await _word_scan(connection, selection)
    if scan is None:
        return await _find(connection, selection, order, limit, after)
    found: list[FoundEvent] = []
    if order == NEWEST_FIRST and scan.since is not None:
        # The present, which is read from the newest event on: often it is enough.
        recent, older = _divided(selection, scan.since)
        if recent is not None:
            found = await _find(connection, recent, order, limit, after)
        if older is None or len(found) >= limit:
            return found
        selection = older
    found += await _find(connection, selection, order, limit, after, scan.others)
    if order == NEWEST_FIRST and len(found) >= limit and found[limit - 1].cursor.values[0] > scan.latest:
        return found[:limit]
    by_words = replace(selection, words=scan)
    if scan.rest is not None:
        # By their ids: dates would lead through all events of the day.
        found += await _find(connection, by_words, order, limit, after, scan.rest)
    if await _pays(connection, selection, scan, limit if order.is_by_date else None):
        for part in scan.indexed():
            found += await _find(connection, by_words, order, limit, after, part)
    else:
        found += await _find(connection, selection, order, limit, after, scan.covered)
    return _sorted(found, order)[:limit]


def _divided(selection: Selection, moment: datetime) -> tuple[Selection | None, Selection | None]:
    """The selection's events from this moment on, and those before."""
    begin, end = selection.dates.begin, selection.dates.end
    recent = TimeRange(moment if begin is None else max(begin, moment), end)
    older = TimeRange(begin, moment if end is None else min(end, moment))
    return (
        replace(selection, time=recent) if end is None or end > moment else None,
        replace(selection, time=older) if begin is None or begin < moment else None,
    )


async def _word_scan(connection: asyncpg.Connection, selection: Selection) -> WordScan | None:
    """How indexes of words find the selection's events; None if another index does, or there is none."""
    has_few = selection.plan is not None and selection.plan.stack_ids is not None
    if has_few or _is_pinned(selection.filter) or any(map(_has_index, _conjuncts(selection.filter))):
        return None
    return await find_word_scan(connection, selection.filter, selection.clock, selection.dates)


async def _pays(
    connection: asyncpg.Connection, selection: Selection, scan: WordScan, limit: int | None
) -> bool:
    everything = replace(selection, filter=Everything(), time=selection.dates, plan=None)
    return await word_scan_pays(
        connection,
        scan,
        within=partial(where, everything),
        exact=partial(where, selection),
        limit=limit,
    )


def _partial(
    found: Sequence[FoundEvent], windows: DateWindows, order: Order, limit: int, whole: TimeRange
) -> FoundPage:
    """What was found until time ran out."""
    rest = windows.rest
    if rest is None or rest == whole:
        raise QueryTooSlow("not even a short window of dates could be searched")
    # A cursor between what was searched and the rest.
    edge = rest.end if windows.is_newest_first else rest.begin
    cursor = Cursor((edge,), UUID(int=0)) if order.is_by_date else None
    return FoundPage(_sorted(found, order)[:limit], rest, cursor)


@asynccontextmanager
async def bounded(connection: asyncpg.Connection, seconds: float) -> AsyncIterator[None]:
    """A transaction, unless `seconds` is `inf`; the server cancels statements in it that take longer."""
    if seconds == inf:
        yield
        return
    async with connection.transaction():
        milliseconds = str(max(int(seconds * 1000), 1))
        await connection.execute("SELECT set_config('statement_timeout', $1, true)", milliseconds)
        yield


def _sorted(found: Sequence[FoundEvent], order: Order) -> list[FoundEvent]:
    """Sorts as Postgres does."""
    ordered = sorted(found, key=lambda event: event.id, reverse=order.is_descending)
    for place, key in reversed(list(enumerate(order.keys))):
        ordered.sort(key=lambda event: _comparable(event.cursor.values[place]), reverse=key.is_descending)
    return ordered


def _comparable(value: Any) -> tuple[bool, Any]:
    """Not a number is greater than all numbers."""
    is_nan = isinstance(value, Decimal) and value.is_nan()
    return is_nan, 0 if is_nan else value


def goes_by_index(selection: Selection, order: Order) -> bool:
    """Whether an index yields a page of the selection at a cost independent of the number of events."""
    return (selection.filter == Everything() and order.is_by_date) or _is_pinned(selection.filter)


async def count_events(connection: asyncpg.Connection, selection: Selection) -> int:
    """How many events the selection holds."""
    return await _count(connection, await to_count(connection, selection))


async def estimate_events(
    connection: asyncpg.Connection, selection: Selection, seconds: float
) -> tuple[int, bool]:
    """How many events the selection holds; an estimate, and true, if counting takes longer than `seconds`."""
    counted = await to_count(connection, selection)
    return await exact_or_sampled(connection, counted, seconds, partial(_count, connection))


async def exact_or_sampled(
    connection: asyncpg.Connection,
    selection: Selection,
    seconds: float | None,
    work: Callable[[Selection], Awaitable[Result]],
) -> tuple[Result, bool]:
    """What `work` finds in the selection; in a sample of it, and true, if it takes longer than `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            return await work(selection), False
    except TimeoutError:
        # Without a limit the driver gave up waiting for the server: callers want no estimate.
        if seconds is None:
            raise
    return await work(await _with_sample(connection, selection)), True


async def _with_sample(connection: asyncpg.Connection, selection: Selection) -> Selection:
    """The selection, reduced to a sample of its time that is small enough to be read quickly."""
    everything = replace(selection, filter=Everything(), rollups=None, sample=None)
    rollups = (await to_count(connection, everything)).rollups
    number = await _count(connection, replace(everything, rollups=rollups)) if rollups else _MANY_EVENTS
    return replace(selection, sample=min(100 * _SAMPLE_EVENTS / max(number, 1), 100.0))


async def _count(connection: asyncpg.Connection, selection: Selection) -> int:
    arguments = Arguments()
    table, condition, number = counted_from(selection, arguments)
    statement = f"SELECT {number} FROM {table} WHERE {condition}"  # noqa: S608
    found: int = await connection.fetchval(statement, *arguments.values)
    return found


async def to_count(connection: asyncpg.Connection, selection: Selection) -> Selection:
    """The selection with its rollups, if they can answer it, and with bounds on its ids."""
    rollups = await find_rollups(
        connection, selection.project_ids, selection.filter, selection.dates, selection.clock
    )
    selection = replace(await with_id_bounds(connection, selection), rollups=rollups)
    if rollups is None and (scan := await _word_scan(connection, selection)) is not None:
        selection = replace(selection, words=scan if await _pays(connection, selection, scan, None) else None)
    return selection


def counted_from(
    selection: Selection, arguments: Arguments, tier: Tier | None = "days"
) -> tuple[str, str, str]:
    """The table `AS e`, the condition on it, and the expression of the number of events.

    Without a tier it is `events`, also if there are rollups.
    """
    rollups = selection.rollups
    if rollups is None or tier is None:
        table, number = "events AS e", "count(*)"
        if selection.sample is not None:
            table += f" TABLESAMPLE SYSTEM ({selection.sample:.6f})"
            number = f"round(count(*) * {selection.scale!r})::bigint"
        elif selection.words is not None:
            rest = [] if selection.words.rest is None else [selection.words.rest]
            parts = [selection.words.others, *rest, *selection.words.indexed()]
            table = " UNION ALL ".join(f"SELECT * FROM events AS e WHERE {part(arguments)}" for part in parts)  # noqa: S608
            table = f"({table}) AS e"
        return table, where(selection, arguments), number
    return *rollup_table(rollups, arguments, tier=tier), EVENTS


async def with_id_bounds(connection: asyncpg.Connection, selection: Selection) -> Selection:
    """The selection with bounds on its ids, if its dates have an end: skips partitions of later events."""
    dates = selection.dates
    return selection if dates.end is None else replace(selection, ids=await id_range(connection, dates))


def where(selection: Selection, arguments: Arguments) -> str:
    """The condition on `events AS e` for a whole selection."""
    projects = f"{arguments.add(list(selection.project_ids))}::uuid[]"
    return f"e.project_id = ANY({projects}) AND {_conditions(selection, arguments, projects)}"


async def _plan(connection: asyncpg.Connection, selection: Selection) -> StackPlan | None:
    """How to find the events of stacks that the filter restricts them to; None if it does not."""
    parts = tuple(part for part in _conjuncts(selection.filter) if _is_of_stack(part))
    if not parts or _is_pinned(selection.filter) or any(map(_is_indexed, _conjuncts(selection.filter))):
        return None
    arguments = Arguments()
    projects = f"{arguments.add(list(selection.project_ids))}::uuid[]"
    condition = StackConditions(arguments, projects, selection.clock).of(And(parts))
    events, number, ids = await connection.fetchrow(
        f"""
        SELECT (SELECT sum(total_occurrences)::float8 FROM stacks WHERE project_id = ANY({projects})),
            coalesce(sum(found.total_occurrences), 0)::float8, array_agg(found.id)
        FROM (
            SELECT s.id, s.total_occurrences FROM stacks AS s
            WHERE s.project_id = ANY({projects}) AND {condition} IS TRUE
        ) AS found
        """,  # noqa: S608 - constants and arguments
        *arguments.values,
    )
    if number > (events or 0) * _FREQUENT:
        return StackPlan(None)
    # An event whose stack is gone may match what the filter excludes.
    if any(map(_excludes, parts)) or len(ids or []) > _MANY_STACKS:
        return None
    return StackPlan(ids or [])


def _is_of_stack(tree: Filter) -> bool:
    """Whether the filter is about nothing but the event's stack."""
    for condition in all_conditions(tree):
        # What matches everything also matches events without a stack.
        if isinstance(condition, Everything) or condition.field is None:
            return False
        field = resolve_field(condition.field)
        if field is None or not field.is_of_stack:
            return False
    return True


def _excludes(tree: Filter) -> bool:
    match tree:
        case And(children) | Or(children):
            return any(map(_excludes, children))
        case _:
            return isinstance(tree, Not)


async def _find(
    connection: asyncpg.Connection,
    selection: Selection,
    order: Order,
    limit: int,
    after: Cursor | None,
    part: Write | None = None,
) -> list[FoundEvent]:
    """The first events of the selection, or of the part of it that meets one more condition."""
    arguments = Arguments()
    projects = arguments.add(list(selection.project_ids))
    conditions = _conditions(selection, arguments, f"{projects}::uuid[]")
    if part is not None:
        conditions += f" AND {part(arguments)}"
    if after is not None:
        conditions += f" AND {_after(order, after, arguments)}"
    keys = [f"k{number}" for number in range(len(order.keys))]
    plan = selection.plan
    # Few events that an index finds, then sorted; or a walk along the order of each project.
    is_of_stacks = plan is not None and plan.stack_ids is not None
    has_few = selection.words is not None or is_of_stacks or _is_pinned(selection.filter)
    statement = (_FEW if has_few else _PAGE).format(
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
    plan = selection.plan
    walks = plan is not None and plan.stack_ids is None
    conditions = _filtering(
        selection.filter,
        EventConditions(arguments, projects, selection.clock, walks=walks),
        arguments,
        # What an index of words finds is little, and planning takes longer than checking it.
        _MANY_ARGUMENTS if selection.words is None else 0,
    )
    if plan is not None and plan.stack_ids is not None:
        conditions.append(f"e.stack_id = ANY({arguments.add(plan.stack_ids)}::uuid[])")
    dates, ids = selection.dates, selection.ids
    # Ids begin with the time of acceptance: bounds on them let the planner skip partitions. Without looked-up
    # bounds only the lower one is known, as events may be accepted long after their dates.
    if ids is None and dates.begin is not None:
        conditions.append(f"e.id >= {arguments.add(lowest_id(max(dates.begin, _EARLIEST) - _CLOCKS_APART))}")
    elif ids is not None:
        conditions += [f"e.id >= {arguments.add(ids[0])}", f"e.id < {arguments.add(ids[1])}"]
    return " AND ".join(conditions) + between("e.date", dates, arguments)


def _filtering(
    tree: Filter, conditions: EventConditions, arguments: Arguments, many_arguments: int
) -> list[str]:
    """The conditions of a filter; those of a large one go into a subquery, which is planned only once.

    Conditions that use an index stay outside, because a subquery cannot use it.
    """
    before = len(arguments.values)
    parts = [(part, conditions.of(part)) for part in _conjuncts(tree)]
    # The usual filter: planning it for every partition costs little.
    if len(arguments.values) - before <= many_arguments:
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


def _has_index(part: Filter) -> bool:
    """Whether a search by the filter's part uses an index, for sessions also that of their own."""
    match part:
        case Match(str() as name, Term() as term) if name.lower() == "type":
            return term.text.lower() == "session"
        case _:
            return _is_indexed(part)


def _dates(selection: Selection, order: Order, after: Cursor | None) -> TimeRange:
    """The range of dates to search."""
    begin, end = selection.dates.begin, selection.dates.end
    # Leave out the dates that the previous pages have covered; events with the cursor's own date may follow.
    if order.keys[0].name == DATE and after is not None:
        date: datetime = after.values[0]
        if not order.is_descending:
            begin = max(begin or date, date)
        else:  # `end` is exclusive
            last = date + _MICROSECOND if date < datetime.max.replace(tzinfo=UTC) else date
            end = min(end or last, last)
    return TimeRange(begin, end)


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

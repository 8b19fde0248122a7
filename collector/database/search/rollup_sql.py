"""Counts from rollups as SQL: what they can answer, and the table that takes the place of `events AS e`.

A rollup knows the project, stack, type and first occurrence of its events, and their dates by the hour. A
count whose filter and buckets concern only these is exact: whole days and hours come from rollups, the ends
of the time range that cut an hour, and days of acceptance without rollups, come from the events themselves.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final, Literal, NamedTuple
from uuid import UUID

import asyncpg

from collector.database.schema.rollups import RolledDay, rolled_days
from collector.database.search.filter_sql import Arguments, EventConditions
from collector.domain.dates.datemath import LocalClock
from collector.domain.dates.time_range import TimeRange
from collector.domain.filter.aggregation import Aggregation, Interval, Operator, missing_number
from collector.domain.filter.fields import FIELDS, Column, Field, StackColumn, StackState, resolve_field
from collector.domain.filter.tree import And, Everything, Filter, Match, all_conditions
from collector.domain.ids import ids_of_day

EVENTS: Final = "coalesce(sum(e.events), 0)::bigint"
"""The number of events, where `count(*)` counts rollups."""
OCCURRENCES: Final = "sum(e.count_sum + e.events - e.counted)::bigint"
"""The sum of the events' counts; an event without one counts once."""

HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
_ORIGIN: Final = datetime(2000, 1, 1, tzinfo=UTC)
_COLUMNS: Final = frozenset({"project_id", "stack_id", "type", "is_first_occurrence"})
_DATE: Final = FIELDS["date"]
_COUNT: Final = FIELDS["count"]
_LARGEST_MISSING: Final = 10**9

Tier = Literal["days", "hours"]

_TABLES: Final = {"days": "event_days", "hours": "current_event_hours"}
_ROLLUPS: Final = """
    SELECT project_id, stack_id, type, is_first_occurrence, begin_utc AS date, events, counted, count_sum,
        earliest, latest
    FROM {table} WHERE day = ANY({days}::date[]) AND project_id = ANY({projects}){condition}
"""
_EVENTS: Final = """
    SELECT e.project_id, e.stack_id, e.type, e.is_first_occurrence, e.date, 1::bigint AS events,
        (e.count IS NOT NULL)::integer::bigint AS counted, coalesce(e.count, 0)::bigint AS count_sum,
        e.date AS earliest, e.date AS latest
    FROM events AS e WHERE e.project_id = ANY({projects}) AND ({ids}){condition}
"""


@dataclass(frozen=True, slots=True)
class Rollups:
    """What answers a selection: the days of acceptance that may have its events, and its other conditions.

    `filter` has no condition on dates: `dates` are all that it and the time range allow.
    """

    project_ids: Sequence[UUID]
    filter: Filter
    dates: TimeRange
    days: Sequence[RolledDay]
    clock: LocalClock


async def find_rollups(
    connection: asyncpg.Connection,
    project_ids: Sequence[UUID],
    tree: Filter,
    dates: TimeRange,
    clock: LocalClock,
) -> Rollups | None:
    """The rollups that answer a selection with these dates; None if the events have to be read."""
    rest = _without_dates(tree)
    if rest is None or not _has_whole_hours(dates):
        return None
    days = await rolled_days(connection, dates)
    if not any(day.has_hours for day in days):
        return None
    return Rollups(project_ids, rest, dates, days, clock)


def rollup_table(rollups: Rollups, arguments: Arguments, *, tier: Tier = "days") -> tuple[str, str]:
    """A subquery `AS e` with a row for each rollup, or event read in its place, and the filter's condition.

    Dates are those of hours, or also of days for `tier` "days".
    """
    projects = f"{arguments.add(list(rollups.project_ids))}::uuid[]"
    parts = [
        part.sql(found, projects, arguments)
        for part in _parts(rollups, tier)
        if (found := [day.day for day in part.days if may_have(day, part.dates)])
    ]
    if not parts:  # no event has such dates
        parts = [_Part("hours", (), rollups.dates).sql([], projects, arguments)]
    condition = EventConditions(arguments, projects, rollups.clock).of(rollups.filter)
    return f"({' UNION ALL '.join(parts)}) AS e", condition


class _Part(NamedTuple):
    """A part of a selection: where it is counted, over which days of acceptance, and which dates."""

    source: Literal["days", "hours", "events"]
    days: Sequence[RolledDay]
    dates: TimeRange

    def sql(self, days: Sequence[date], projects: str, arguments: Arguments) -> str:
        """The rows of these days."""
        if self.source == "events":
            condition = between("e.date", self.dates, arguments)
            return _EVENTS.format(projects=projects, ids=accepted_on(days, arguments), condition=condition)
        condition = between("begin_utc", self.dates, arguments)
        listed = arguments.add(days)
        return _ROLLUPS.format(
            table=_TABLES[self.source], days=listed, projects=projects, condition=condition
        )


def _parts(rollups: Rollups, tier: Tier) -> Iterator[_Part]:
    """The parts of a selection, which do not overlap."""
    begin, end = rollups.dates.begin, rollups.dates.end
    low, high = ceiled(begin, HOUR), floored(end, HOUR)
    rolled = [day for day in rollups.days if day.has_hours]
    # Whole days come from the coarse tier, the hours around them from the fine one.
    first_day, last_day = ceiled(low, DAY), floored(high, DAY)
    has_days = tier == "days" and (first_day is None or last_day is None or first_day < last_day)
    with_days = [day for day in rolled if has_days and day.has_days]
    yield _Part("days", with_days, TimeRange(first_day, last_day))
    if low != first_day:
        yield _Part("hours", with_days, TimeRange(low, first_day))
    if high != last_day:
        yield _Part("hours", with_days, TimeRange(last_day, high))
    yield _Part("hours", [day for day in rolled if day not in with_days], TimeRange(low, high))
    # Hours that the time range cuts, and days without rollups.
    if begin != low:
        yield _Part("events", rolled, TimeRange(begin, low))
    if end != high:
        yield _Part("events", rolled, TimeRange(high, end))
    yield _Part("events", [day for day in rollups.days if not day.has_hours], rollups.dates)


def key_tier(part: Aggregation, interval: Interval | None) -> Tier | None:
    """The coarsest tier that can be put into an aggregation's buckets; None if rollups cannot.

    `interval` is that of its buckets of dates.
    """
    if part.operator is not Operator.DATE:
        return "days" if part.operator is Operator.TERMS and _is_known(part.field) else None
    if part.field is not _DATE or interval is None:
        return None
    for tier, length in (("days", DAY), ("hours", HOUR)):
        offset = interval.offset or timedelta()
        if not offset % length and (interval.length is None or not interval.length % length):
            return tier  # type: ignore[return-value] # one of the two
    return None


def is_rolled_value(part: Aggregation) -> bool:
    """Whether rollups have the value that an aggregation computes over a bucket."""
    match part.operator:
        case Operator.CARDINALITY:
            return _is_known(part.field)
        case Operator.SUM | Operator.AVERAGE:
            missing = missing_number(part)
            return part.field is _COUNT and (missing is None or abs(missing) < _LARGEST_MISSING)
        case Operator.MINIMUM | Operator.MAXIMUM:
            return part.field is _DATE
        case _:
            return False


def rolled_value_sql(part: Aggregation, counted: str, arguments: Arguments) -> str:
    """The expression of such a value; `counted` is that of the key whose different values are counted."""
    match part.operator:
        case Operator.CARDINALITY:
            source = part.field.sources[0]
            is_id = isinstance(source, Column) and source.name in {"stack_id", "project_id"}
            return f"count(DISTINCT {f'e.{source.name}' if is_id and part.missing is None else counted})"  # type: ignore[union-attr] # a column
        case Operator.MINIMUM:
            return "min(e.earliest)"
        case Operator.MAXIMUM:
            return "max(e.latest)"
    total, number = "sum(e.count_sum)", "sum(e.counted)"
    if (missing := missing_number(part)) is not None:
        total = f"(sum(e.count_sum) + {arguments.add(missing)}::numeric * sum(e.events - e.counted))"
        number = "sum(e.events)"
    if part.operator is Operator.SUM:
        return f"CASE WHEN {number} > 0 THEN {total}::numeric END"
    return f"{total}::numeric / nullif({number}, 0)::numeric"


def _without_dates(tree: Filter) -> Filter | None:
    """The filter without its necessary conditions on dates; None if rollups do not know all of the rest."""
    match tree:
        case And(children):
            rest = [_without_dates(child) for child in children]
            known = [child for child in rest if child is not None]
            return And(tuple(known)) if len(known) == len(rest) else None
        case Match(str() as name) if resolve_field(name) is _DATE:
            return Everything()
        case _:
            return tree if _knows(tree) else None


def _knows(tree: Filter) -> bool:
    for condition in all_conditions(tree):
        if isinstance(condition, Everything):
            continue
        if condition.field is None:
            return False
        # A name that is no field matches nothing, in rollups, too.
        field = resolve_field(condition.field)
        if field is not None and not _is_known(field):
            return False
    return True


def _is_known(field: Field) -> bool:
    return all(
        source.name in _COLUMNS
        if isinstance(source, Column)
        else isinstance(source, StackColumn | StackState)
        for source in field.sources
    )


def _has_whole_hours(dates: TimeRange) -> bool:
    try:
        low, high = ceiled(dates.begin, HOUR), floored(dates.end, HOUR)
        ceiled(low, DAY)
    except OverflowError:
        return False
    return low is None or high is None or low < high


def ceiled(moment: datetime | None, length: timedelta) -> datetime | None:
    """The next multiple of the length, or the moment itself."""
    if moment is None:
        return None
    floored = moment - (moment - _ORIGIN) % length
    return floored if floored == moment else floored + length


def floored(moment: datetime | None, length: timedelta) -> datetime | None:
    """The last multiple of the length."""
    return None if moment is None else moment - (moment - _ORIGIN) % length


def may_have(day: RolledDay, dates: TimeRange) -> bool:
    """Whether events accepted on the day may have such dates."""
    return (dates.begin is None or day.largest >= dates.begin) and (
        dates.end is None or day.smallest < dates.end
    )


def between(column: str, dates: TimeRange, arguments: Arguments) -> str:
    """The condition on a column of dates, with an AND before it."""
    return "".join(
        f" AND {column} {operator} {arguments.add(bound)}"
        for operator, bound in ((">=", dates.begin), ("<", dates.end))
        if bound is not None
    )


def accepted_on(days: Sequence[date], arguments: Arguments) -> str:
    """The condition that events were accepted on one of these days."""
    conditions = []
    for first, last in _runs(days):
        begin, end = ids_of_day(first)[0], ids_of_day(last)[1]
        conditions.append(f"(e.id >= {arguments.add(begin)} AND e.id < {arguments.add(end)})")
    return " OR ".join(conditions)


def _runs(days: Sequence[date]) -> Iterator[tuple[date, date]]:
    """The first and last of each run of adjoining days."""
    first = last = days[0]
    for day in days[1:]:
        if day != last + DAY:
            yield first, last
            first = day
        last = day
    yield first, last

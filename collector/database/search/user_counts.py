"""How many different users a selection has, from sketches where there are some: exact up to a thousand users.

Days of acceptance that are over have sketches of whole hours, and for each stack of whole UTC days. What is
outside of these, and what later days have, is read from the events.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import asyncpg

from collector.database.schema.rollups import USER, USER_HASH, RolledDay
from collector.database.search.filter_sql import Arguments, EventConditions
from collector.database.search.rollup_sql import (
    DAY,
    HOUR,
    Rollups,
    Tier,
    accepted_on,
    between,
    ceiled,
    floored,
    may_have,
    rollup_table,
)
from collector.domain.accounting.user_sketch import FEW, UserSketch
from collector.domain.dates.time_range import TimeRange
from collector.domain.filter.fields import Column, Field, resolve_field
from collector.domain.filter.tree import Everything, Filter, all_conditions

WHOLE: Final = "NULL::integer"
"""The key of a selection as a whole."""
OF_STACK: Final = "e.stack_id"

_CANDIDATES: Final = 100
_HASHES: Final = 1 << 17
"""Hashes of users in memory, roughly; divided among the buckets."""
_SKETCHES_READ: Final = 1000
"""Sketches read together."""
_OF_ALL_STACKS: Final = frozenset({"project_id", "type"})
"""The columns that sketches by hour have."""
_HOURS: Final = "SELECT day, project_id, type, begin_utc AS date, sketch FROM user_hours"
_DAYS: Final = "SELECT day, project_id, type, begin_utc AS date, sketch, stack_id, users FROM stack_user_days"


async def count_users_by(
    connection: asyncpg.Connection, rollups: Rollups, key: str, arguments: Arguments
) -> dict[Any, int]:
    """The number of users by the value of `key`, an expression on `e.date` and the arguments."""
    sketches = await _sketches(connection, rollups, key, arguments)
    return {value: sketch.count for value, sketch in sketches.items()}


async def rank_by_users(
    connection: asyncpg.Connection, rollups: Rollups, limit: int, offset: int
) -> list[tuple[UUID, int]]:
    """The stacks with the most users, and how many; ties by id.

    The days of a stack together have at least as many users as the stack. So only stacks whose days have as
    many as the last one in the list need to be counted.
    """
    most = await _most_users(connection, rollups)
    if len(most) < limit + offset:  # stacks without users come last
        arguments = Arguments()
        table, condition = rollup_table(rollups, arguments)
        statement = f"SELECT DISTINCT e.stack_id FROM {table} WHERE {condition}"  # noqa: S608
        rows = await connection.fetch(statement, *arguments.values)
        most = {row["stack_id"]: 0 for row in rows} | most
    candidates = sorted(most, key=lambda id_: (-most[id_], id_))
    counted: dict[UUID, int] = {}
    wanted = limit + offset
    for start in range(0, len(candidates), _CANDIDATES):
        best = heapq.nsmallest(wanted, counted, key=lambda id_: (-counted[id_], id_))
        if len(best) == wanted and counted[best[-1]] > most[candidates[start]]:
            break
        ids = candidates[start : start + _CANDIDATES]
        counted |= dict.fromkeys(ids, 0) | await count_users_of(connection, rollups, ids)
    ranked = heapq.nsmallest(wanted, counted, key=lambda id_: (-counted[id_], id_))
    return [(id_, counted[id_]) for id_ in ranked[offset:]]


async def count_users_of(
    connection: asyncpg.Connection, rollups: Rollups, stack_ids: Sequence[UUID]
) -> dict[UUID, int]:
    """The number of users of each stack that has some."""
    sketches = await _sketches(connection, rollups, OF_STACK, Arguments(), stack_ids)
    return {id_: sketch.count for id_, sketch in sketches.items()}


async def _sketches(
    connection: asyncpg.Connection,
    rollups: Rollups,
    key: str,
    arguments: Arguments,
    stack_ids: Sequence[UUID] | None = None,
) -> Mapping[Any, UserSketch]:
    found: dict[Any, UserSketch] = {}

    def sketch(key: Any) -> UserSketch:
        if key not in found:
            found[key] = UserSketch(max(FEW, _HASHES // (len(found) + 1)))
        return found[key]

    given = list(arguments.values)
    is_by_stack = key == OF_STACK or not _is_of_all_stacks(rollups.filter)
    with_sketches, events = _parts(rollups, is_by_stack=is_by_stack)
    if with_sketches is not None:
        days, dates = with_sketches
        add = _begun(given)
        table, condition = _sketch_table(rollups, days, dates, add, is_by_stack=is_by_stack)
        if stack_ids is not None:
            condition += f" AND e.stack_id = ANY({add.add(stack_ids)}::uuid[])"
        statement = f"SELECT {key} AS key, sketch FROM {table} WHERE {condition}"  # noqa: S608
        # A cursor: of a large project there are many sketches, of up to 4 KB.
        async with connection.transaction():
            async for value, packed in connection.cursor(statement, *add.values, prefetch=_SKETCHES_READ):
                sketch(value).merge(packed)
    for days, dates in events:
        add = _begun(given)
        condition = _event_condition(rollups, days, dates, add)
        if stack_ids is not None:
            condition += f" AND e.stack_id = ANY({add.add(stack_ids)}::uuid[])"
        statement = f"""
            SELECT key, array_agg(hash) AS hashes FROM (
                SELECT {key} AS key, {USER_HASH} AS hash FROM events AS e WHERE {condition} GROUP BY 1, 2
            ) AS u GROUP BY key
        """  # noqa: S608 - constants and arguments
        for row in await connection.fetch(statement, *add.values):
            sketch(row["key"]).add(row["hashes"])
    return found


async def _most_users(connection: asyncpg.Connection, rollups: Rollups) -> dict[UUID, int]:
    """For each stack a number that its users do not exceed."""
    most: defaultdict[UUID, int] = defaultdict(int)
    with_sketches, events = _parts(rollups, is_by_stack=True)
    if with_sketches is not None:
        add = Arguments()
        table, condition = _sketch_table(rollups, *with_sketches, add, is_by_stack=True)
        statement = f"SELECT stack_id, sum(users)::bigint FROM {table} WHERE {condition} GROUP BY stack_id"  # noqa: S608
        for stack_id, users in await connection.fetch(statement, *add.values):
            # An estimate may be a little too small.
            most[stack_id] += users + users // 20
    for days, dates in events:
        add = Arguments()
        condition = _event_condition(rollups, days, dates, add)
        statement = f"SELECT stack_id, count(*) FROM events AS e WHERE {condition} GROUP BY stack_id"  # noqa: S608
        for stack_id, users in await connection.fetch(statement, *add.values):
            most[stack_id] += users
    return most


_Part = tuple[Sequence[RolledDay], TimeRange]


def _parts(rollups: Rollups, *, is_by_stack: bool) -> tuple[_Part | None, list[_Part]]:
    """The days and dates that sketches answer, and those for which the events are read."""
    dates = rollups.dates
    low, high = ceiled(dates.begin, HOUR), floored(dates.end, HOUR)
    if is_by_stack:
        low, high = ceiled(low, DAY), floored(high, DAY)
    with_users = [day for day in rollups.days if day.has_users]
    if not with_users or (low is not None and high is not None and low >= high):
        return None, [(rollups.days, dates)]
    listed: list[_Part] = [([day for day in rollups.days if not day.has_users], dates)]
    if dates.begin != low:
        listed.append((with_users, TimeRange(dates.begin, low)))
    if dates.end != high:
        listed.append((with_users, TimeRange(high, dates.end)))
    parts = (([day for day in days if may_have(day, range_)], range_) for days, range_ in listed)
    return (with_users, TimeRange(low, high)), [part for part in parts if part[0]]


def _sketch_table(
    rollups: Rollups, days: Sequence[RolledDay], dates: TimeRange, arguments: Arguments, *, is_by_stack: bool
) -> tuple[str, str]:
    projects = f"{arguments.add(list(rollups.project_ids))}::uuid[]"
    condition = EventConditions(arguments, projects, rollups.clock).of(rollups.filter)
    listed = arguments.add([day.day for day in days])
    condition += f" AND e.project_id = ANY({projects}) AND e.day = ANY({listed}::date[])"
    condition += between("e.date", dates, arguments)
    return f"({_DAYS if is_by_stack else _HOURS}) AS e", condition


def _event_condition(
    rollups: Rollups, days: Sequence[RolledDay], dates: TimeRange, arguments: Arguments
) -> str:
    projects = f"{arguments.add(list(rollups.project_ids))}::uuid[]"
    condition = EventConditions(arguments, projects, rollups.clock).of(rollups.filter)
    ids = accepted_on([day.day for day in days], arguments)
    return (
        f"{condition} AND e.project_id = ANY({projects}) AND ({ids}) AND {USER} IS NOT NULL"
        f"{between('e.date', dates, arguments)}"
    )


def _begun(values: Sequence[Any]) -> Arguments:
    """Arguments that begin with these."""
    arguments = Arguments()
    arguments.values.extend(values)
    return arguments


def by_days_or_all_stacks(tree: Filter, tier: Tier | None) -> bool:
    """Whether sketches fit into buckets of dates: those of stacks are of whole days."""
    return tier == "days" or _is_of_all_stacks(tree)


def has_sketches(tree: Filter) -> bool:
    """Whether sketches can answer a filter that rollups know: all but one of first occurrences."""
    return all(field.sources[0] != Column("is_first_occurrence") for field in _fields(tree))


def _is_of_all_stacks(tree: Filter) -> bool:
    """Whether a filter that rollups know says nothing of stacks and first occurrences."""
    return all(
        isinstance(source, Column) and source.name in _OF_ALL_STACKS
        for field in _fields(tree)
        for source in field.sources
    )


def _fields(tree: Filter) -> Iterator[Field]:
    """The fields in a filter; a name that is no field matches nothing."""
    for condition in all_conditions(tree):
        if not isinstance(condition, Everything) and condition.field is not None:
            field = resolve_field(condition.field)
            if field is not None:
                yield field

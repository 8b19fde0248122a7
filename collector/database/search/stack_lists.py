"""Lists of stacks: found by a filter of their own, or by the events of a selection."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from uuid import UUID

import asyncpg

from collector.database.schema.rollups import USER
from collector.database.search.event_lists import Selection, counted_from, to_count
from collector.database.search.filter_sql import Arguments, StackConditions
from collector.database.search.rollup_sql import OCCURRENCES, Rollups, rollup_table
from collector.database.search.stacks import StoredStack, find_stacks
from collector.database.search.user_counts import (
    WHOLE,
    count_users_by,
    count_users_of,
    has_sketches,
    rank_by_users,
)


class StackMode(Enum):
    """The orders of stacks that are found by their events, as SQL on the figures of a stack."""

    RECENT = "last DESC"
    FREQUENT = "total DESC"
    NEW = "first DESC"
    USERS = "users DESC"


class StackOrder(Enum):
    """The orders of stacks that are listed by themselves, as SQL."""

    LAST_DESCENDING = "s.last_occurrence DESC"
    LAST = "s.last_occurrence"
    FIRST_DESCENDING = "s.first_occurrence DESC"
    FIRST = "s.first_occurrence"
    TOTAL_DESCENDING = "s.total_occurrences DESC"
    TOTAL = "s.total_occurrences"


@dataclass(frozen=True, slots=True)
class StackOfEvents:
    """A stack, with figures over the selection's events of that stack."""

    stack: StoredStack
    total: int
    first: datetime
    last: datetime
    users: int


async def find_stacks_of_events(
    connection: asyncpg.Connection, selection: Selection, mode: StackMode, *, limit: int, offset: int
) -> list[StackOfEvents]:
    """One page of the stacks that the selection's events belong to."""
    chosen = await to_count(connection, _of_mode(selection, mode))
    if chosen.rollups is not None and has_sketches(chosen.rollups.filter):
        return await _find_by_rollups(connection, chosen.rollups, mode, limit=limit, offset=offset)
    arguments = Arguments()
    table, condition, _ = counted_from(chosen, arguments, None)
    rows = await connection.fetch(
        f"""
        SELECT e.stack_id, round(sum(coalesce(e.count, 1)) * {chosen.scale!r})::bigint AS total,
            min(e.date) AS first,
            max(e.date) AS last, count(DISTINCT {USER}) AS users
        FROM {table} WHERE {condition} AND e.stack_id IS NOT NULL
        GROUP BY e.stack_id ORDER BY {mode.value}, e.stack_id
        LIMIT {arguments.add(limit)} OFFSET {arguments.add(offset)}
        """,  # noqa: S608 - constants and numbers of arguments only
        *arguments.values,
    )
    return await _with_stacks(connection, rows, {row["stack_id"]: row["users"] for row in rows})


async def _find_by_rollups(
    connection: asyncpg.Connection, rollups: Rollups, mode: StackMode, *, limit: int, offset: int
) -> list[StackOfEvents]:
    arguments = Arguments()
    table, condition = rollup_table(rollups, arguments)
    users: dict[UUID, int] = {}
    if mode is StackMode.USERS:
        users = dict(await rank_by_users(connection, rollups, limit, offset))
        condition += f" AND e.stack_id = ANY({arguments.add(list(users))}::uuid[])"
        order = ""
    else:
        order = (
            f"ORDER BY {mode.value}, e.stack_id LIMIT {arguments.add(limit)} OFFSET {arguments.add(offset)}"
        )
    rows = await connection.fetch(
        f"""
        SELECT e.stack_id, {OCCURRENCES} AS total, min(e.earliest) AS first, max(e.latest) AS last
        FROM {table} WHERE {condition} GROUP BY e.stack_id {order}
        """,  # noqa: S608 - constants and numbers of arguments only
        *arguments.values,
    )
    if mode is StackMode.USERS:
        places = {id_: place for place, id_ in enumerate(users)}
        rows = sorted(rows, key=lambda row: places[row["stack_id"]])
    elif rows:
        users = await count_users_of(connection, rollups, [row["stack_id"] for row in rows])
    return await _with_stacks(connection, rows, users)


async def _with_stacks(
    connection: asyncpg.Connection, rows: Sequence[asyncpg.Record], users: Mapping[UUID, int]
) -> list[StackOfEvents]:
    """The stacks of the rows that exist, in the order of the rows."""
    stacks = {stack.id: stack for stack in await find_stacks(connection, [row["stack_id"] for row in rows])}
    return [
        StackOfEvents(stacks[id_], row["total"], row["first"], row["last"], users.get(id_, 0))
        for row in rows
        if (id_ := row["stack_id"]) in stacks
    ]


async def count_stacks_of_events(
    connection: asyncpg.Connection, selection: Selection, mode: StackMode
) -> int:
    """How many stacks the selection's events belong to."""
    arguments = Arguments()
    table, condition, _ = counted_from(await to_count(connection, _of_mode(selection, mode)), arguments)
    number: int = await connection.fetchval(
        f"SELECT count(DISTINCT e.stack_id) FROM {table} WHERE {condition}",  # noqa: S608 - constants and arguments
        *arguments.values,
    )
    return number


async def count_users(connection: asyncpg.Connection, selection: Selection) -> int:
    """How many different users the selection's events have."""
    counted = await to_count(connection, selection)
    if counted.rollups is not None and has_sketches(counted.rollups.filter):
        return (await count_users_by(connection, counted.rollups, WHOLE, Arguments())).get(None, 0)
    arguments = Arguments()
    table, condition, _ = counted_from(counted, arguments, None)
    number: int = await connection.fetchval(
        f"SELECT count(DISTINCT {USER}) FROM {table} WHERE {condition}",  # noqa: S608 - constants and arguments
        *arguments.values,
    )
    return number


async def list_stacks(
    connection: asyncpg.Connection, selection: Selection, order: StackOrder, *, limit: int, offset: int
) -> list[StoredStack]:
    """One page of the stacks that match the selection's filter and occurred in its time."""
    arguments = Arguments()
    condition = _stack_condition(selection, arguments)
    statement = f"""
        SELECT s.id FROM stacks AS s WHERE {condition}
        ORDER BY {order.value}, s.id LIMIT {arguments.add(limit)} OFFSET {arguments.add(offset)}
    """  # noqa: S608 - constants and arguments
    rows = await connection.fetch(statement, *arguments.values)
    ids = [row["id"] for row in rows]
    stacks = {stack.id: stack for stack in await find_stacks(connection, ids)}
    return [stacks[id_] for id_ in ids if id_ in stacks]


async def count_stacks(connection: asyncpg.Connection, selection: Selection) -> int:
    """How many stacks match the selection's filter and occurred in its time."""
    arguments = Arguments()
    condition = _stack_condition(selection, arguments)
    statement = f"SELECT count(*) FROM stacks AS s WHERE {condition}"  # noqa: S608 - constants and arguments
    number: int = await connection.fetchval(statement, *arguments.values)
    return number


def _of_mode(selection: Selection, mode: StackMode) -> Selection:
    return selection.of_new_stacks if mode is StackMode.NEW else selection


def _stack_condition(selection: Selection, arguments: Arguments) -> str:
    projects = f"{arguments.add(list(selection.project_ids))}::uuid[]"
    parts = [StackConditions(arguments, projects, selection.clock).of(selection.filter)]
    if selection.time.begin is not None:
        parts.append(f"s.last_occurrence >= {arguments.add(selection.time.begin)}")
    if selection.time.end is not None:
        parts.append(f"s.first_occurrence < {arguments.add(selection.time.end)}")
    return f"s.project_id = ANY({projects}) AND {' AND '.join(parts)}"

"""Lists of stacks: found by a filter of their own, or by the events of a selection."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final

import asyncpg

from collector.database.search.event_lists import Selection, where, with_id_bounds
from collector.database.search.filter_sql import Arguments, StackConditions
from collector.database.search.stacks import StoredStack, find_stacks

_USER: Final = "e.data #>> '{@user,identity}'"


class StackMode(Enum):
    """The orders of stacks that are found by their events, as SQL."""

    RECENT = "max(e.date) DESC"
    FREQUENT = "sum(coalesce(e.count, 1)) DESC"
    NEW = "min(e.date) DESC"
    USERS = f"count(DISTINCT {_USER}) DESC"


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
    arguments = Arguments()
    condition = _event_condition(await with_id_bounds(connection, selection), mode, arguments)
    rows = await connection.fetch(
        f"""
        SELECT e.stack_id, sum(coalesce(e.count, 1))::bigint AS total, min(e.date) AS first,
            max(e.date) AS last, count(DISTINCT {_USER}) AS users
        FROM events AS e WHERE {condition}
        GROUP BY e.stack_id ORDER BY {mode.value}, e.stack_id
        LIMIT {arguments.add(limit)} OFFSET {arguments.add(offset)}
        """,  # noqa: S608 - constants and numbers of arguments only
        *arguments.values,
    )
    # A stack may be deleted between the two statements: it is left out.
    stacks = {stack.id: stack for stack in await find_stacks(connection, [row["stack_id"] for row in rows])}
    return [
        StackOfEvents(stacks[row["stack_id"]], row["total"], row["first"], row["last"], row["users"])
        for row in rows
        if row["stack_id"] in stacks
    ]


async def count_stacks_of_events(
    connection: asyncpg.Connection, selection: Selection, mode: StackMode
) -> int:
    """How many stacks the selection's events belong to."""
    arguments = Arguments()
    condition = _event_condition(await with_id_bounds(connection, selection), mode, arguments)
    number: int = await connection.fetchval(
        f"SELECT count(DISTINCT e.stack_id) FROM events AS e WHERE {condition}",  # noqa: S608 - constants and arguments
        *arguments.values,
    )
    return number


async def count_users(connection: asyncpg.Connection, selection: Selection) -> int:
    """How many different users the selection's events have."""
    arguments = Arguments()
    condition = where(await with_id_bounds(connection, selection), arguments)
    number: int = await connection.fetchval(
        f"SELECT count(DISTINCT {_USER}) FROM events AS e WHERE {condition}",  # noqa: S608 - constants and arguments
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


def _event_condition(selection: Selection, mode: StackMode, arguments: Arguments) -> str:
    chosen = selection.of_new_stacks if mode is StackMode.NEW else selection
    return f"{where(chosen, arguments)} AND e.stack_id IS NOT NULL"


def _stack_condition(selection: Selection, arguments: Arguments) -> str:
    projects = f"{arguments.add(list(selection.project_ids))}::uuid[]"
    parts = [StackConditions(arguments, projects, selection.clock).of(selection.filter)]
    if selection.time.begin is not None:
        parts.append(f"s.last_occurrence >= {arguments.add(selection.time.begin)}")
    if selection.time.end is not None:
        parts.append(f"s.first_occurrence < {arguments.add(selection.time.end)}")
    return f"s.project_id = ANY({projects}) AND {' AND '.join(parts)}"

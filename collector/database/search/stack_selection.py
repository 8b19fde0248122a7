"""All stacks that a selection of events belongs to, for changes of all that match."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import asyncpg

from collector.database.search.event_lists import Selection, counted_from, to_count
from collector.database.search.filter_sql import Arguments
from collector.database.search.rollup_sql import OCCURRENCES

STACKS_AT_MOST: Final = 10_000


@dataclass(frozen=True, slots=True)
class MatchingStacks:
    """Stacks, and how many of the selection's events they have; `STACKS_AT_MOST` + 1 stands for more."""

    ids: Sequence[UUID]
    events: int


async def find_matching_stacks(connection: asyncpg.Connection, selection: Selection) -> MatchingStacks:
    """The stacks of the selection's events, at most `STACKS_AT_MOST` + 1 of them, by id."""
    arguments = Arguments()
    counted = await to_count(connection, selection)
    table, condition, _ = counted_from(counted, arguments)
    events = "sum(coalesce(e.count, 1))::bigint" if counted.rollups is None else OCCURRENCES
    # The limit comes after the join: stacks that were forgotten do not count.
    statement = f"""
        SELECT s.id, e.events FROM (
            SELECT e.stack_id, {events} AS events FROM {table} WHERE {condition} GROUP BY e.stack_id
        ) AS e JOIN stacks AS s ON s.id = e.stack_id
        ORDER BY s.id LIMIT {arguments.add(STACKS_AT_MOST + 1)}
    """  # noqa: S608 - constants and numbers of arguments only
    rows = await connection.fetch(statement, *arguments.values)
    return MatchingStacks([row["id"] for row in rows], sum(row["events"] for row in rows))

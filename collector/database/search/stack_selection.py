"""All stacks that a selection of events belongs to, for changes of all that match."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import asyncpg

from collector.database.search.event_lists import Selection, where, with_id_bounds
from collector.database.search.filter_sql import Arguments

STACKS_AT_MOST: Final = 10_000


@dataclass(frozen=True, slots=True)
class MatchingStacks:
    """Stacks, and how many of the selection's events they have; `STACKS_AT_MOST` + 1 stands for more."""

    ids: Sequence[UUID]
    events: int


async def find_matching_stacks(connection: asyncpg.Connection, selection: Selection) -> MatchingStacks:
    """The stacks of the selection's events, at most `STACKS_AT_MOST` + 1 of them, by id."""
    arguments = Arguments()
    condition = where(await with_id_bounds(connection, selection), arguments)
    statement = f"""
        SELECT s.id, e.events FROM (
            SELECT e.stack_id, sum(coalesce(e.count, 1))::bigint AS events FROM events AS e
            WHERE {condition} AND e.stack_id IS NOT NULL
            GROUP BY e.stack_id ORDER BY e.stack_id LIMIT {arguments.add(STACKS_AT_MOST + 1)}
        ) AS e JOIN stacks AS s ON s.id = e.stack_id ORDER BY s.id
    """  # noqa: S608 - constants and numbers of arguments only
    rows = await connection.fetch(statement, *arguments.values)
    return MatchingStacks([row["id"] for row in rows], sum(row["events"] for row in rows))

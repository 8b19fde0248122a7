"""All stacks that a selection of events belongs to, for changes of all that match."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

import asyncpg

from collector.database.search.event_lists import Selection, where, with_id_bounds
from collector.database.search.filter_sql import Arguments
from collector.domain.event.stack import StackStatus

STACKS_AT_MOST: Final = 10_000


@dataclass(frozen=True, slots=True)
class MatchingStacks:
    """The stacks by their present status, and how many of the selection's events they have."""

    by_status: dict[StackStatus, list[UUID]]
    events: int

    @property
    def count(self) -> int:
        """How many there are; `STACKS_AT_MOST` + 1 stands for more."""
        return sum(map(len, self.by_status.values()))


async def find_matching_stacks(connection: asyncpg.Connection, selection: Selection) -> MatchingStacks:
    """The stacks of the selection's events, at most `STACKS_AT_MOST` + 1 of them."""
    arguments = Arguments()
    condition = where(await with_id_bounds(connection, selection), arguments)
    statement = f"""
        SELECT s.id, s.status, e.events FROM (
            SELECT e.stack_id, sum(coalesce(e.count, 1))::bigint AS events FROM events AS e
            WHERE {condition} AND e.stack_id IS NOT NULL
            GROUP BY e.stack_id ORDER BY e.stack_id LIMIT {arguments.add(STACKS_AT_MOST + 1)}
        ) AS e JOIN stacks AS s ON s.id = e.stack_id
    """  # noqa: S608 - constants and numbers of arguments only
    found: dict[StackStatus, list[UUID]] = {}
    events = 0
    for row in await connection.fetch(statement, *arguments.values):
        found.setdefault(StackStatus(row["status"]), []).append(row["id"])
        events += row["events"]
    return MatchingStacks(found, events)

"""Deletes rows that have become old, in steps along their ids, which begin with a time.

Each step deletes at most some thousand rows of a range of ids in a transaction of its own: no step reads the
whole table, whatever the planner believes, and rows that stay are read once in a run.
"""

from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

import asyncpg

from collector.database.pool import connected
from collector.domain.ids import lowest_id

STEP_ROWS: Final = 10_000


class Aging(NamedTuple):
    """A table, its ids, and the time from which its rows age. No row is older than its id."""

    table: str
    key: str
    moment: str

    @property
    def step_end(self) -> str:
        """The last id of the next step, after $1 and before $2; none if fewer rows than $3 follow."""
        return (
            f"SELECT {self.key} FROM {self.table} WHERE {self.key} > $1 AND {self.key} < $2"  # noqa: S608 - constants only
            f" ORDER BY {self.key} OFFSET $3 - 1 LIMIT 1"
        )

    @property
    def step(self) -> str:
        """Deletes what is older than $3, after $1 and up to $2, except rows that are locked."""
        # Joined by id, the planner may prefer to read all of a large table. Its rows' places it looks up.
        return f"""
            DELETE FROM {self.table} WHERE ctid = ANY(ARRAY(
                SELECT ctid FROM {self.table}
                WHERE {self.key} > $1 AND {self.key} <= $2 AND {self.moment} < now() - $3::interval
                FOR UPDATE SKIP LOCKED))
        """  # noqa: S608 - constants only


async def forget_old(pool: asyncpg.Pool, aging: Aging, age: timedelta) -> int:
    """Delete the rows older than that by Postgres's clock, and return how many."""
    deleted, begin = 0, UUID(int=0)
    async with connected(pool) as connection:
        now: datetime = await connection.fetchval("SELECT now()")
    end: UUID = lowest_id(now - age)
    while begin < end:
        async with connected(pool) as connection:
            step_end = await connection.fetchval(aging.step_end, begin, end, STEP_ROWS) or end
            status: str = await connection.execute(aging.step, begin, step_end, age)
        deleted += int(status.rpartition(" ")[2])
        begin = step_end
    return deleted

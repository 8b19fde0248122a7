"""The state of the whole installation in a few numbers, for operators."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple
from uuid import UUID

import asyncpg

from collector.database.pool import connected
from collector.database.schema.partitions import partition_days

_OUTCOMES: Final = """
    SELECT u.outcome, u.reason, sum(u.events)::bigint AS events
    FROM projects p JOIN usage u ON u.project_id = p.id AND u.hour >= date_trunc('hour', $1::timestamptz)
    GROUP BY u.outcome, u.reason ORDER BY events DESC, u.outcome, u.reason
"""
_LETTERS: Final = """
    SELECT reason, count(*) AS letters, sum(octet_length(body))::bigint AS bytes
    FROM dead_letters GROUP BY reason ORDER BY letters DESC, reason
"""
_SIZES: Final = """
    SELECT (SELECT count(*) FROM held_posts WHERE NOT is_replay) AS held_posts,
        (SELECT count(*) FROM held_posts WHERE is_replay) AS replays,
        pg_database_size(current_database()) AS bytes,
        (SELECT coalesce(sum(pg_total_relation_size(inhrelid)), 0)::bigint
         FROM pg_inherits WHERE inhparent = 'events'::regclass) AS event_bytes
"""
_IS_READABLE: Final = "SELECT 1 FROM events WHERE id = $1"
_ROLLED: Final = "SELECT day FROM rollup_days WHERE has_hours AND has_days AND has_users"


class OutcomeTotal(NamedTuple):
    """How many events of all projects had an outcome for a reason."""

    outcome: str
    reason: str
    events: int


class LetterTotal(NamedTuple):
    """The dead letters that are kept for a reason, and the bytes of their bodies."""

    reason: str
    letters: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Overview:
    """`partitions_ahead` are the days after today that have their partition.

    `rollups_behind` are days of acceptance that are over and lack a rollup.
    """

    outcomes: list[OutcomeTotal]
    dead_letters: list[LetterTotal]
    held_posts: int
    replays: int
    partitions: int
    partitions_ahead: int
    event_bytes: int
    database_bytes: int
    rollups_behind: int


async def read_overview(connection: asyncpg.Connection, since: datetime, now: datetime) -> Overview:
    """The outcomes of events accepted since then, and what is kept now."""
    outcomes = await connection.fetch(_OUTCOMES, since)
    letters = await connection.fetch(_LETTERS)
    sizes = await connection.fetchrow(_SIZES)
    days = await partition_days(connection)
    rolled = {row["day"] for row in await connection.fetch(_ROLLED)}
    today = now.astimezone(UTC).date()
    return Overview(
        outcomes=[OutcomeTotal(**row) for row in outcomes],
        dead_letters=[LetterTotal(**row) for row in letters],
        held_posts=sizes["held_posts"],
        replays=sizes["replays"],
        partitions=len(days),
        partitions_ahead=sum(day > today for day in days),
        event_bytes=sizes["event_bytes"],
        database_bytes=sizes["bytes"],
        rollups_behind=sum(day < today and day not in rolled for day in days),
    )


async def is_readable(pool: asyncpg.Pool, event_id: UUID) -> bool:
    """Whether another connection than the storing one finds the event."""
    async with connected(pool) as connection:
        return await connection.fetchval(_IS_READABLE, event_id) is not None

"""Reads how Postgres is: its version, durability, clock, connections, and statements that run for long."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

import asyncpg

from collector.database.schema.partitions import partition_days
from collector.database.schema.word_indexes import DayIndex, day_indexes

_SLOW_SECONDS: Final = 30
_MOST_SLOW: Final = 20

_SERVER: Final = """
    SELECT current_setting('server_version') AS version, clock_timestamp() AS now,
        (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections,
        current_setting('max_connections')::int AS most_connections,
        (SELECT array_agg(name ORDER BY name) FROM pg_settings
         WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit') AND setting = 'off') AS unsafe
"""
# Not the statement itself: it may contain what people search for.
_SLOW: Final = """
    SELECT application_name AS program, state, coalesce(wait_event, '') AS waits_for,
        extract(epoch FROM clock_timestamp() - coalesce(query_start, xact_start))::float8 AS seconds
    FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
        AND state IN ('active', 'idle in transaction', 'idle in transaction (aborted)')
        AND query NOT LIKE 'CREATE INDEX CONCURRENTLY%'
        AND clock_timestamp() - coalesce(query_start, xact_start) > make_interval(secs => $1)
    ORDER BY seconds DESC LIMIT $2
"""


class SlowStatement(NamedTuple):
    """A statement or an open transaction that has been running for long."""

    program: str
    state: str
    waits_for: str
    seconds: float


@dataclass(frozen=True, slots=True)
class DatabaseCondition:
    """Postgres at one moment; `unsafe` names the settings that make a commit less than durable."""

    version: str
    now: datetime
    connections: int
    most_connections: int
    unsafe: list[str]
    slow: list[SlowStatement]
    indexes: list[DayIndex]


async def read_database_condition(connection: asyncpg.Connection) -> DatabaseCondition:
    """Look at the server and at the indexes of words."""
    server = await connection.fetchrow(_SERVER)
    slow = await connection.fetch(_SLOW, _SLOW_SECONDS, _MOST_SLOW)
    return DatabaseCondition(
        version=server["version"].split(" ")[0],
        now=server["now"],
        connections=server["connections"],
        most_connections=server["most_connections"],
        unsafe=server["unsafe"] or [],
        slow=[SlowStatement(**row) for row in slow],
        indexes=await day_indexes(connection, await partition_days(connection)),
    )

"""Settings that decide what is stored and retained. Kept with the data, so that all processes agree on them.

A process that is started with a value stores it, and running processes follow; one without a value uses what
is stored.
"""

from collections.abc import Mapping
from typing import Final

import asyncpg

from collector.database.pool import connected

_DATABASE_ID: Final = "database_id"
FOLLOW_SECONDS: Final = 30.0
"""A running process uses a changed value after this time at the latest."""


async def agreed_settings(pool: asyncpg.Pool) -> dict[str, str]:
    """The stored values by the name of the setting. Raises DatabaseUnavailable."""
    async with connected(pool) as connection:
        return dict(await connection.fetch("SELECT name, value FROM settings"))


async def database_id(pool: asyncpg.Pool) -> str:
    """The id of this database, made on first use; a dump includes it. Raises DatabaseUnavailable."""
    async with connected(pool) as connection:
        await connection.execute(
            "INSERT INTO settings (name, value) VALUES ($1, gen_random_uuid()) ON CONFLICT DO NOTHING",
            _DATABASE_ID,
        )
        return str(await connection.fetchval("SELECT value FROM settings WHERE name = $1", _DATABASE_ID))


async def agree_on(
    pool: asyncpg.Pool, values: Mapping[str, str], defaults: Mapping[str, str]
) -> dict[str, str]:
    """Store these values, and the defaults where nothing is stored yet. Raises DatabaseUnavailable.

    Returns the previous values of those settings that changed.
    """
    async with connected(pool) as connection, connection.transaction():
        # Sorted by name, so that two processes that start together cannot deadlock.
        names = sorted(values)
        before = dict(
            await connection.fetch(
                "SELECT name, value FROM settings WHERE name = ANY($1) ORDER BY name FOR UPDATE", names
            )
        )
        await connection.execute(
            """
            INSERT INTO settings AS stored (name, value)
            SELECT * FROM unnest($1::text[], $2::text[]) ORDER BY 1
            ON CONFLICT (name) DO UPDATE SET value = excluded.value, changed_utc = now()
            WHERE stored.value <> excluded.value
            """,
            names,
            [values[name] for name in names],
        )
        await connection.execute(
            "INSERT INTO settings (name, value) SELECT * FROM unnest($1::text[], $2::text[]) ORDER BY 1"
            " ON CONFLICT DO NOTHING",
            list(defaults),
            list(defaults.values()),
        )
    return {name: value for name, value in before.items() if value != values[name]}

"""Migrations: plain SQL files, applied once each in the order of their names; there is no way back."""

from importlib import resources
from typing import Final

import asyncpg

from collector.database.errors import DatabaseUnavailable, translated
from collector.database.pool import connect_once, connected
from collector.process.lifecycle import StartError

_FOLDER: Final = resources.files("collector.database.schema") / "migrations"
_LOCK: Final = 0x48656164  # an arbitrary key: concurrent migrations take turns
_LOCK_WAIT: Final = "50s"
_FILE_SECONDS: Final = 3600.0
"""Creating an index reads all stored events."""


async def migrate(database_url: str) -> list[str]:
    """Bring the database to this version and return the names of the migrations that were applied.

    Each file runs in its own transaction: if one fails, the earlier ones stay applied.
    """
    connection = await connect_once(database_url)
    try:
        with translated():
            await connection.execute(f"SET lock_timeout = '{_LOCK_WAIT}'")
            await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
            await connection.execute(
                "CREATE TABLE IF NOT EXISTS schema_migrations"
                " (name text PRIMARY KEY, applied_utc timestamptz NOT NULL DEFAULT now())"
            )
            applied = await _applied(connection)
            missing = [name for name in migration_names() if name not in applied]
            for name in missing:
                commands = _FOLDER.joinpath(name).read_text(encoding="utf-8")
                async with connection.transaction():
                    await connection.execute(commands, timeout=_FILE_SECONDS)
                    await connection.execute("INSERT INTO schema_migrations (name) VALUES ($1)", name)
            return missing
    except DatabaseUnavailable as error:
        raise StartError(f"The database could not be migrated: {error}.") from None
    finally:
        await connection.close(timeout=5)


async def check_migrated(pool: asyncpg.Pool) -> None:
    """Raise StartError unless every migration that this version knows has been applied."""
    async with connected(pool) as connection:
        missing = [name for name in migration_names() if name not in await _applied(connection)]
    if missing:
        raise StartError(f"The database lacks {', '.join(missing)}; run `headrace migrate` first.")


def migration_names() -> list[str]:
    """The names of this version's files, in order."""
    return sorted(file.name for file in _FOLDER.iterdir() if file.name.endswith(".sql"))


async def _applied(connection: asyncpg.Connection) -> set[str]:
    if not await connection.fetchval("SELECT to_regclass('schema_migrations') IS NOT NULL"):
        return set()
    return {row["name"] for row in await connection.fetch("SELECT name FROM schema_migrations")}

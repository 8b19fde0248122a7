"""Codes that log a person in once, within some minutes, without a password."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg

from collector.database.errors import DatabaseUnavailable, translated
from collector.database.owners.users import find_user
from collector.database.pool import connect_once
from collector.domain.access.token import new_token, token_digest
from collector.process.lifecycle import StartError

VALID: Final = timedelta(minutes=15)


async def add_login_code(connection: asyncpg.Connection, user_id: UUID, now: datetime) -> str:
    """A new code of the user. Removes expired ones, so that only those of a quarter hour are kept."""
    code = new_token()
    await connection.execute("DELETE FROM login_codes WHERE expires_utc < $1", now)
    await connection.execute(
        "INSERT INTO login_codes (digest, user_id, expires_utc) VALUES ($1, $2, $3)",
        token_digest(code),
        user_id,
        now + VALID,
    )
    return code


async def make_login_code(database_url: str, email_address: str, now: datetime) -> str | None:
    """A new code of the user with this address; None without such a user or while Postgres is unavailable."""
    try:
        connection = await connect_once(database_url)
        try:
            with translated():
                user = await find_user(connection, email_address)
                return None if user is None else await add_login_code(connection, user.id, now)
        finally:
            await connection.close(timeout=5)
    except (DatabaseUnavailable, StartError):
        return None


async def use_login_code(connection: asyncpg.Connection, code: str, now: datetime) -> UUID | None:
    """The user whose code this is, who can use it only once; None for one that is unknown or too old."""
    found: UUID | None = await connection.fetchval(
        "DELETE FROM login_codes WHERE digest = $1 AND expires_utc > $2 RETURNING user_id",
        token_digest(code),
        now,
    )
    return found

"""Users: the people who log in."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from unicodedata import normalize
from uuid import UUID

import asyncpg

from collector.database.text import storable

_FIRST_USER_LOCK: Final = 0x66697273
"""Advisory lock that keeps two concurrent sign-ups from both becoming the first user."""


@dataclass(frozen=True, slots=True)
class User:
    """A person who can log in, with the organizations that they belong to."""

    id: UUID
    email_address: str
    full_name: str
    roles: tuple[str, ...]
    is_active: bool
    organization_ids: tuple[UUID, ...] = ()
    password_hash: str | None = None


_SELECT: Final = """
    SELECT u.id, u.email_address, u.full_name, u.roles, u.is_active, u.password_hash,
           ARRAY(SELECT m.organization_id FROM organization_members m
                 WHERE m.user_id = u.id ORDER BY 1) AS organization_ids
    FROM users u
"""


async def find_user(connection: asyncpg.Connection, email_address: str) -> User | None:
    """The user with this address, ignoring case and surrounding space."""
    row = await connection.fetchrow(f"{_SELECT} WHERE u.email_address = $1", normal_email(email_address))
    return None if row is None else _user(row)


async def find_user_by_id(connection: asyncpg.Connection, user_id: UUID) -> User | None:
    """The user with this id."""
    row = await connection.fetchrow(f"{_SELECT} WHERE u.id = $1", user_id)
    return None if row is None else _user(row)


async def lock_user(connection: asyncpg.Connection, user_id: UUID) -> User | None:
    """The user with this id, locked against changes until the transaction ends."""
    await connection.execute("SELECT FROM users WHERE id = $1 FOR NO KEY UPDATE", user_id)
    return await find_user_by_id(connection, user_id)


async def all_users(connection: asyncpg.Connection) -> list[User]:
    """Every user, by address."""
    return [_user(row) for row in await connection.fetch(f"{_SELECT} ORDER BY u.email_address")]


async def list_members(
    connection: asyncpg.Connection, organization_id: UUID, *, limit: int, offset: int
) -> list[User]:
    """One page of the members of an organization, by address."""
    rows = await connection.fetch(
        f"{_SELECT} JOIN organization_members o ON o.user_id = u.id"
        " WHERE o.organization_id = $1 ORDER BY u.email_address LIMIT $2 OFFSET $3",
        organization_id,
        limit,
        offset,
    )
    return [_user(row) for row in rows]


async def count_members(connection: asyncpg.Connection, organization_id: UUID) -> int:
    """How many members an organization has."""
    number: int = await connection.fetchval(
        "SELECT count(*) FROM organization_members WHERE organization_id = $1", organization_id
    )
    return number


async def is_first_user(connection: asyncpg.Connection) -> bool:
    """Whether there are no users yet; other callers wait until this transaction ends."""
    await connection.execute("SELECT pg_advisory_xact_lock($1)", _FIRST_USER_LOCK)
    return not await has_users(connection)


async def has_users(connection: asyncpg.Connection) -> bool:
    """Whether there is a user."""
    found: bool = await connection.fetchval("SELECT EXISTS (SELECT FROM users)")
    return found


async def add_user(connection: asyncpg.Connection, user: User) -> bool:
    """Insert a user; False if the address is taken. Use `add_member` to add them to organizations.

    The first invitation ends: it must not come back when all users have been deleted.
    """
    await connection.execute("DELETE FROM first_invitation")
    status: str = await connection.execute(
        """
        INSERT INTO users (id, email_address, full_name, roles, is_active, password_hash)
        VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (email_address) DO NOTHING
        """,
        user.id,
        normal_email(user.email_address),
        storable(user.full_name),
        list(user.roles),
        user.is_active,
        user.password_hash,
    )
    return status.endswith(" 1")


async def is_still_known(connection: asyncpg.Connection, user: User) -> bool:
    """Whether the user is active and the password is still the one that was checked.

    Locks the row until the transaction ends, so that no login token is created after a change of the
    password, which revokes them all.
    """
    found: int | None = await connection.fetchval(
        "SELECT 1 FROM users WHERE id = $1 AND is_active AND password_hash IS NOT DISTINCT FROM $2 FOR SHARE",
        user.id,
        user.password_hash,
    )
    return found is not None


async def set_password(connection: asyncpg.Connection, user: User, password_hash: str, now: datetime) -> bool:
    """Replace the password that was checked; False if it has changed since or the user is inactive."""
    status: str = await connection.execute(
        """
        UPDATE users SET password_hash = $3, updated_utc = $4
        WHERE id = $1 AND is_active AND password_hash IS NOT DISTINCT FROM $2
        """,
        user.id,
        user.password_hash,
        password_hash,
        now,
    )
    return status.endswith(" 1")


async def rename_user(connection: asyncpg.Connection, user: User, now: datetime) -> None:
    """Store the user's full name."""
    await connection.execute(
        "UPDATE users SET full_name = $2, updated_utc = $3 WHERE id = $1", user.id, user.full_name, now
    )


async def change_activity(
    connection: asyncpg.Connection, user_id: UUID, now: datetime, *, is_active: bool
) -> None:
    """Deactivate a user, which also disables all their tokens, or activate them again."""
    await connection.execute(
        "UPDATE users SET is_active = $2, updated_utc = $3 WHERE id = $1", user_id, is_active, now
    )


async def delete_user(connection: asyncpg.Connection, user_id: UUID) -> None:
    """Delete a user. Call `delete_tokens_of_user` before: it returns the tokens that caches must forget."""
    await connection.execute("DELETE FROM users WHERE id = $1", user_id)


def normal_email(text: str) -> str:
    """An address as it is stored and compared: full-width letters and other variants are one address."""
    # Lower-casing may undo the normal form, and normalizing may add upper-case letters and spaces.
    folded = normalize("NFKC", normalize("NFKC", text).lower())
    return storable(folded.strip())


def _user(row: Any) -> User:
    return User(**{**row, "roles": tuple(row["roles"]), "organization_ids": tuple(row["organization_ids"])})

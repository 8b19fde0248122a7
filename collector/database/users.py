"""Users: the people who log in."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from collector.database.text import storable


@dataclass(frozen=True, slots=True)
class User:
    """A person, the organizations that the person belongs to and the hash of the password."""

    id: UUID
    email_address: str
    full_name: str
    roles: tuple[str, ...]
    is_active: bool
    organization_ids: tuple[UUID, ...] = ()
    password_hash: str | None = None


async def find_user(connection: asyncpg.Connection, email_address: str) -> User | None:
    """The user with this address, however it is spelled."""
    row = await connection.fetchrow(
        """
        SELECT id, email_address, full_name, roles, is_active, password_hash,
               ARRAY(SELECT m.organization_id FROM organization_members m
                     WHERE m.user_id = users.id ORDER BY 1) AS organization_ids
        FROM users WHERE email_address = $1
        """,
        normal_email(email_address),
    )
    return None if row is None else _user(row)


async def add_user(connection: asyncpg.Connection, user: User) -> None:
    """Write a new user; organizations are joined by `add_member`."""
    await connection.execute(
        """
        INSERT INTO users (id, email_address, full_name, roles, is_active, password_hash)
        VALUES ($1, $2, $3, $4, $5, $6)
        """,
        user.id,
        normal_email(user.email_address),
        user.full_name,
        list(user.roles),
        user.is_active,
        user.password_hash,
    )


def normal_email(text: str) -> str:
    """An address as it is kept and compared."""
    return storable(text.strip().lower())


def _user(row: Any) -> User:
    return User(**{**row, "roles": tuple(row["roles"]), "organization_ids": tuple(row["organization_ids"])})

"""Invitations to an organization: presenting the token is the only way to become a member.

They expire, so that a token in an old message cannot be used indefinitely. The first invitation is to no
organization: with it the first user signs up, who may do everything.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg

from collector.database.owners.organizations import add_member
from collector.database.owners.users import normal_email

VALID: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Invitation:
    """A row of `invitations`."""

    organization_id: UUID
    email_address: str
    token: str
    created_utc: datetime


async def list_invitations(
    connection: asyncpg.Connection, organization_ids: list[UUID], now: datetime
) -> list[Invitation]:
    """The valid invitations to these organizations."""
    rows = await connection.fetch(
        """
        SELECT organization_id, email_address, token, created_utc FROM invitations
        WHERE organization_id = ANY($1) AND created_utc > $2 ORDER BY email_address
        """,
        organization_ids,
        now - VALID,
    )
    return [Invitation(**row) for row in rows]


async def invite(connection: asyncpg.Connection, invitation: Invitation) -> None:
    """Insert an invitation, replacing an earlier one of the same person to the same organization."""
    await connection.execute(
        """
        INSERT INTO invitations (organization_id, email_address, token, created_utc) VALUES ($1, $2, $3, $4)
        ON CONFLICT (organization_id, email_address)
        DO UPDATE SET token = excluded.token, created_utc = excluded.created_utc
        """,
        invitation.organization_id,
        normal_email(invitation.email_address),
        invitation.token,
        invitation.created_utc,
    )


async def withdraw(connection: asyncpg.Connection, organization_id: UUID, email_address: str) -> None:
    """Delete the invitation, if there is one."""
    await connection.execute(
        "DELETE FROM invitations WHERE organization_id = $1 AND email_address = $2",
        organization_id,
        normal_email(email_address),
    )


async def is_invited(connection: asyncpg.Connection, token: str, now: datetime) -> bool:
    """Whether the token is that of a valid invitation."""
    found: bool = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM invitations WHERE token = $1 AND created_utc > $2)", token, now - VALID
    )
    return found


async def first_invitation(connection: asyncpg.Connection, token: str) -> str | None:
    """The token of the first invitation, `token` if there was none. None if there are users."""
    await connection.execute(
        """
        INSERT INTO first_invitation (token) SELECT $1 WHERE NOT EXISTS (SELECT FROM users)
        ON CONFLICT (is_only) DO UPDATE SET token = excluded.token, created_utc = now()
        WHERE first_invitation.created_utc < now() - $2::interval
        """,
        token,
        VALID,
    )
    found: str | None = await connection.fetchval(
        "SELECT token FROM first_invitation WHERE NOT EXISTS (SELECT FROM users)"
    )
    return found


async def is_first_invitation(connection: asyncpg.Connection, token: str) -> bool:
    """Whether the token is that of the first invitation, and valid."""
    found: bool = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM first_invitation"
        " WHERE token = $1 AND created_utc > now() - $2::interval)",
        token,
        VALID,
    )
    return found


async def accept(connection: asyncpg.Connection, token: str, user_id: UUID, now: datetime) -> bool:
    """Add the user to the organization that the token invites to, and delete the invitation.

    False if the token is unknown, expired or used.
    """
    # Lock the organization first, as its deletion does; the opposite order could deadlock.
    organization_id: UUID | None = await connection.fetchval(
        """
        SELECT o.id FROM organizations o JOIN invitations i ON i.organization_id = o.id
        WHERE i.token = $1 AND i.created_utc > $2 FOR KEY SHARE OF o
        """,
        token,
        now - VALID,
    )
    # Of two requests with the same invitation only the one that deletes it may use it.
    status: str = await connection.execute("DELETE FROM invitations WHERE token = $1", token)
    if organization_id is None or not status.endswith(" 1"):
        return False
    await add_member(connection, organization_id, user_id)
    return True

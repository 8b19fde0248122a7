"""Organizations: who owns projects, and who belongs to them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from collector.domain.projection import OrganizationEntry


@dataclass(frozen=True, slots=True)
class Organization:
    """A row of `organizations`."""

    id: UUID
    name: str
    is_suspended: bool
    created_utc: datetime
    updated_utc: datetime


async def list_organizations(connection: asyncpg.Connection, ids: Iterable[UUID]) -> list[Organization]:
    """Those of the organizations that exist, by name."""
    rows = await connection.fetch(
        """
        SELECT id, name, is_suspended, created_utc, updated_utc FROM organizations
        WHERE id = ANY($1) ORDER BY name, id
        """,
        list(ids),
    )
    return [Organization(**row) for row in rows]


async def add_organization(connection: asyncpg.Connection, organization_id: UUID, name: str) -> None:
    """Write an organization unless it is there."""
    await connection.execute(
        "INSERT INTO organizations (id, name) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING",
        organization_id,
        name,
    )


async def add_member(connection: asyncpg.Connection, organization_id: UUID, user_id: UUID) -> None:
    """Let a user belong to an organization."""
    await connection.execute(
        "INSERT INTO organization_members (organization_id, user_id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        organization_id,
        user_id,
    )


async def all_organization_entries(connection: asyncpg.Connection) -> dict[bytes, OrganizationEntry]:
    """Every organization by its id, for the projection."""
    rows = await connection.fetch("SELECT id, is_suspended FROM organizations")
    return {row["id"].bytes: OrganizationEntry(row["is_suspended"]) for row in rows}

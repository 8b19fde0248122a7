"""Organizations, which own projects, and their members."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg

from collector.database.row_lock import RowLock
from collector.database.search.filter_sql import Arguments
from collector.database.search.owner_filters import Narrowing, OrganizationConditions, narrowed
from collector.database.text import lowered, storable
from collector.domain.access.projection import OrganizationEntry
from collector.domain.event.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Organization:
    """A row of `organizations`."""

    id: UUID
    name: str
    is_suspended: bool
    created_utc: datetime
    updated_utc: datetime
    monthly_event_limit: int | None = None
    is_over_limit: bool = False
    """This month (UTC) it has stored as many events as its limit allows, or more."""


# The CASE sums up usage only for organizations that have a limit.
_SELECT: Final = f"""
    SELECT o.id, o.name, o.is_suspended, o.created_utc, o.updated_utc, o.monthly_event_limit,
           CASE WHEN o.monthly_event_limit IS NULL THEN false ELSE o.monthly_event_limit <= (
               SELECT coalesce(sum(u.events), 0) FROM projects p JOIN usage_months u ON u.project_id = p.id
               WHERE p.organization_id = o.id AND u.outcome = '{Outcome.STORED}'
                   AND u.month = date_trunc('month', now() AT TIME ZONE 'UTC')::date) END AS is_over_limit
    FROM organizations o
"""  # noqa: S608 - constants only


async def list_organizations(
    connection: asyncpg.Connection, ids: Iterable[UUID], narrowing: Narrowing | None = None
) -> list[Organization]:
    """The organizations with these ids that match the filter, by name."""
    arguments = Arguments()
    has_id = f"o.id = ANY({arguments.add(list(ids))})"
    matches = narrowed(OrganizationConditions, narrowing, arguments)
    statement = f"{_SELECT} WHERE {has_id} AND {matches} ORDER BY o.name, o.id"
    return [_organization(row) for row in await connection.fetch(statement, *arguments.values)]


async def all_organizations(connection: asyncpg.Connection) -> list[Organization]:
    """Every organization, by name."""
    return [_organization(row) for row in await connection.fetch(f"{_SELECT} ORDER BY o.name, o.id")]


async def organizations_called(connection: asyncpg.Connection, name: str, limit: int) -> list[Organization]:
    """The organizations with this name, ignoring case."""
    rows = await connection.fetch(
        f"{_SELECT} WHERE lower(o.name) = lower($1) ORDER BY o.id LIMIT $2", storable(name), limit
    )
    return [_organization(row) for row in rows]


async def find_organization(
    connection: asyncpg.Connection, organization_id: UUID, lock: RowLock = RowLock.NONE
) -> Organization | None:
    """The organization with this id."""
    row = await connection.fetchrow(f"{_SELECT} WHERE o.id = $1 {lock.value}", organization_id)
    return None if row is None else _organization(row)


async def add_organization(connection: asyncpg.Connection, organization_id: UUID, name: str) -> None:
    """Insert an organization unless its id exists."""
    await connection.execute(
        "INSERT INTO organizations (id, name) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING",
        organization_id,
        storable(name),
    )


async def rename_organization(
    connection: asyncpg.Connection, organization_id: UUID, name: str, now: datetime
) -> Organization:
    """Rename an organization and return the new state; the caller holds a lock on the row."""
    await connection.execute(
        "UPDATE organizations SET name = $2, updated_utc = $3 WHERE id = $1",
        organization_id,
        storable(name),
        now,
    )
    return _organization(await connection.fetchrow(f"{_SELECT} WHERE o.id = $1", organization_id))


async def suspend_organization(
    connection: asyncpg.Connection, organization_id: UUID, now: datetime, *, is_suspended: bool
) -> None:
    """Suspend an organization, or lift its suspension."""
    await connection.execute(
        "UPDATE organizations SET is_suspended = $2, updated_utc = $3 WHERE id = $1",
        organization_id,
        is_suspended,
        now,
    )


async def limit_organization(
    connection: asyncpg.Connection, organization_id: UUID, now: datetime, limit: int | None
) -> None:
    """Set how many events of an organization are stored in a month; None for no limit."""
    await connection.execute(
        "UPDATE organizations SET monthly_event_limit = $2, updated_utc = $3 WHERE id = $1",
        organization_id,
        limit,
        now,
    )


@asynccontextmanager
async def newest_organization_entry(
    connection: asyncpg.Connection, organization_id: UUID
) -> AsyncIterator[OrganizationEntry | None]:
    """The organization's projection entry, None if it is gone; the row is locked inside the block."""
    async with connection.transaction():
        found = await find_organization(connection, organization_id, RowLock.CHANGE)
        yield None if found is None else _entry(found)


async def has_organization_named(
    connection: asyncpg.Connection, among: Iterable[UUID], name: str, *, but: UUID | None = None
) -> bool:
    """Whether one of these organizations, other than `but`, has the name, ignoring case."""
    found: bool = await connection.fetchval(
        f"""
        SELECT EXISTS (SELECT FROM organizations
                       WHERE id = ANY($1) AND {lowered("name")} = {lowered("$2")} AND id IS DISTINCT FROM $3)
        """,  # noqa: S608 - constants only
        list(among),
        storable(name),
        but,
    )
    return found


async def add_member(connection: asyncpg.Connection, organization_id: UUID, user_id: UUID) -> None:
    """Add a user to an organization; does nothing if they are a member."""
    await connection.execute(
        "INSERT INTO organization_members (organization_id, user_id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        organization_id,
        user_id,
    )


async def remove_member(connection: asyncpg.Connection, organization_id: UUID, user_id: UUID) -> None:
    """Remove a user from an organization."""
    await connection.execute(
        "DELETE FROM organization_members WHERE organization_id = $1 AND user_id = $2",
        organization_id,
        user_id,
    )


async def member_ids(connection: asyncpg.Connection, organization_ids: Sequence[UUID]) -> list[UUID]:
    """The ids of the users who belong to at least one of the organizations."""
    rows = await connection.fetch(
        "SELECT DISTINCT user_id FROM organization_members WHERE organization_id = ANY($1) ORDER BY 1",
        organization_ids,
    )
    return [row["user_id"] for row in rows]


async def all_organization_entries(connection: asyncpg.Connection) -> dict[bytes, OrganizationEntry]:
    """Every organization by its id, for the projection."""
    return {found.id.bytes: _entry(found) for found in await all_organizations(connection)}


def _entry(organization: Organization) -> OrganizationEntry:
    return OrganizationEntry(organization.is_suspended, organization.is_over_limit)


def _organization(row: Any) -> Organization:
    return Organization(**row)

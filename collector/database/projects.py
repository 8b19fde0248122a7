"""Projects: what events belong to."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg
import msgspec

from collector.domain.client_settings import NEW_PROJECT_SETTINGS
from collector.domain.projection import ProjectEntry

_encode_settings = msgspec.json.Encoder().encode
_decode_settings = msgspec.json.Decoder(dict[str, str]).decode


@dataclass(frozen=True, slots=True)
class Project:
    """A row of `projects`, with the name and the state of its organization."""

    id: UUID
    name: str
    created_utc: datetime
    organization_id: UUID
    organization_name: str
    is_suspended: bool


_SELECT: Final = """
    SELECT p.id, p.name, p.created_utc, p.organization_id,
           o.name AS organization_name, o.is_suspended
    FROM projects p JOIN organizations o ON o.id = p.organization_id
"""


async def find_project(connection: asyncpg.Connection, project_id: UUID) -> Project | None:
    """The project with this id."""
    row = await connection.fetchrow(f"{_SELECT} WHERE p.id = $1", project_id)
    return None if row is None else Project(**row)


async def list_projects(
    connection: asyncpg.Connection, organization_ids: Iterable[UUID], *, limit: int, offset: int
) -> list[Project]:
    """A part of the organizations' projects, by name."""
    rows = await connection.fetch(
        f"{_SELECT} WHERE p.organization_id = ANY($1) ORDER BY p.name, p.id LIMIT $2 OFFSET $3",
        list(organization_ids),
        limit,
        offset,
    )
    return [Project(**row) for row in rows]


async def count_projects(connection: asyncpg.Connection, organization_ids: Iterable[UUID]) -> int:
    """How many projects the organizations have."""
    number: int = await connection.fetchval(
        "SELECT count(*) FROM projects WHERE organization_id = ANY($1)", list(organization_ids)
    )
    return number


async def readable_projects(
    connection: asyncpg.Connection, organization_ids: Iterable[UUID] | None
) -> list[UUID]:
    """The projects of these organizations, or of all, whose events may be read: none of a suspended one."""
    rows = await connection.fetch(
        f"{_SELECT} WHERE ($1::uuid[] IS NULL OR p.organization_id = ANY($1))"
        " AND NOT o.is_suspended ORDER BY p.id",
        None if organization_ids is None else list(organization_ids),
    )
    return [row["id"] for row in rows]


async def add_project(
    connection: asyncpg.Connection, project_id: UUID, organization_id: UUID, name: str
) -> bool:
    """Write a project unless it is there; answers whether it was new."""
    status: str = await connection.execute(
        """
        INSERT INTO projects (id, organization_id, name, settings) VALUES ($1, $2, $3, $4)
        ON CONFLICT (id) DO NOTHING
        """,
        project_id,
        organization_id,
        name,
        _encode_settings(NEW_PROJECT_SETTINGS),
    )
    return status.endswith(" 1")


async def all_project_entries(connection: asyncpg.Connection) -> dict[bytes, ProjectEntry]:
    """Every project by its id, for the projection."""
    rows = await connection.fetch("SELECT id, organization_id, config_version, settings FROM projects")
    return {row["id"].bytes: project_entry(row) for row in rows}


def project_entry(row: asyncpg.Record) -> ProjectEntry:
    """What the doors must know, from the row's organization, version and settings."""
    settings = _decode_settings(row["settings"])
    return ProjectEntry(row["organization_id"].bytes, row["config_version"], settings)

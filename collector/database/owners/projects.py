"""Projects, which own events."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec

from collector.database.row_lock import RowLock
from collector.database.search.filter_sql import Arguments
from collector.database.search.owner_filters import Narrowing, ProjectConditions, narrowed
from collector.database.text import lowered, storable
from collector.domain.access.projection import ProjectEntry
from collector.domain.project.client_settings import NEW_PROJECT_SETTINGS

_encode_settings = msgspec.json.Encoder().encode
decoded_settings = msgspec.json.Decoder(dict[str, str]).decode


@dataclass(frozen=True, slots=True)
class Project:
    """A row of `projects`, with the name, the state and the limit of its organization."""

    id: UUID
    name: str
    created_utc: datetime
    organization_id: UUID
    organization_name: str
    is_suspended: bool
    monthly_event_limit: int | None = None
    delete_bot_data_enabled: bool = False
    promoted_tabs: tuple[str, ...] = ()


class ProjectOrder(Enum):
    """The orders in which projects can be listed, as SQL."""

    NAME = "p.name, p.id"
    NAME_DESCENDING = "p.name DESC, p.id DESC"
    CREATED = "p.created_utc, p.id"
    CREATED_DESCENDING = "p.created_utc DESC, p.id DESC"


_SELECT: Final = """
    SELECT p.id, p.name, p.created_utc, p.organization_id, p.delete_bot_data_enabled, p.promoted_tabs,
           o.name AS organization_name, o.is_suspended, o.monthly_event_limit
    FROM projects p JOIN organizations o ON o.id = p.organization_id
"""


async def find_project(
    connection: asyncpg.Connection, project_id: UUID, lock: RowLock = RowLock.NONE
) -> Project | None:
    """The project with this id; a lock also covers its organization."""
    # Lock the organization first, as its deletion does; the opposite order could deadlock.
    locking = f" {lock.value} OF o, p" if lock.value else ""
    row = await connection.fetchrow(f"{_SELECT} WHERE p.id = $1{locking}", project_id)
    return None if row is None else _project(row)


async def list_projects(
    connection: asyncpg.Connection,
    organization_ids: Iterable[UUID],
    narrowing: Narrowing | None = None,
    *,
    limit: int,
    offset: int,
    order: ProjectOrder = ProjectOrder.NAME,
) -> list[Project]:
    """One page of the organizations' projects that match the filter."""
    arguments = Arguments()
    condition = _condition(organization_ids, narrowing, arguments)
    rows = await connection.fetch(
        f"{_SELECT} WHERE {condition} ORDER BY {order.value}"
        f" LIMIT {arguments.add(limit)} OFFSET {arguments.add(offset)}",
        *arguments.values,
    )
    return [_project(row) for row in rows]


async def count_projects(
    connection: asyncpg.Connection, organization_ids: Iterable[UUID], narrowing: Narrowing | None = None
) -> int:
    """How many of the organizations' projects match the filter."""
    arguments = Arguments()
    condition = _condition(organization_ids, narrowing, arguments)
    statement = f"SELECT count(*) FROM projects p WHERE {condition}"  # noqa: S608 - constants and arguments
    number: int = await connection.fetchval(statement, *arguments.values)
    return number


async def projects_called(connection: asyncpg.Connection, name: str, limit: int) -> list[Project]:
    """The projects with this name, ignoring case."""
    rows = await connection.fetch(
        f"{_SELECT} WHERE lower(p.name) = lower($1) ORDER BY p.id LIMIT $2", storable(name), limit
    )
    return [_project(row) for row in rows]


async def readable_projects(
    connection: asyncpg.Connection, organization_ids: Iterable[UUID] | None
) -> list[UUID]:
    """The projects of these organizations (None: of all) whose events may be read: not of suspended ones."""
    rows = await connection.fetch(
        f"{_SELECT} WHERE ($1::uuid[] IS NULL OR p.organization_id = ANY($1))"
        " AND NOT o.is_suspended ORDER BY p.id",
        None if organization_ids is None else list(organization_ids),
    )
    return [row["id"] for row in rows]


async def project_names(connection: asyncpg.Connection, project_ids: Iterable[UUID]) -> dict[UUID, str]:
    """The names of those of the projects that exist."""
    rows = await connection.fetch("SELECT id, name FROM projects WHERE id = ANY($1)", list(project_ids))
    return {row["id"]: row["name"] for row in rows}


async def count_projects_of(connection: asyncpg.Connection, organization_id: UUID) -> int:
    """The number of the organization's projects."""
    number: int = await connection.fetchval(
        "SELECT count(*) FROM projects WHERE organization_id = $1", organization_id
    )
    return number


async def add_project(
    connection: asyncpg.Connection,
    project_id: UUID,
    organization_id: UUID,
    name: str,
    *,
    delete_bot_data_enabled: bool = False,
    promoted_tabs: Iterable[str] = (),
) -> bool:
    """Insert a project unless its id exists; returns whether it was inserted."""
    status: str = await connection.execute(
        """
        INSERT INTO projects (id, organization_id, name, settings, delete_bot_data_enabled, promoted_tabs)
        VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO NOTHING
        """,
        project_id,
        organization_id,
        storable(name),
        _encode_settings(NEW_PROJECT_SETTINGS),
        delete_bot_data_enabled,
        [storable(tab) for tab in promoted_tabs],
    )
    return status.endswith(" 1")


async def has_project_named(
    connection: asyncpg.Connection, organization_id: UUID, name: str, *, but: UUID | None = None
) -> bool:
    """Whether a project of the organization, other than `but`, has the name, ignoring case."""
    found: bool = await connection.fetchval(
        f"""
        SELECT EXISTS (SELECT FROM projects
                       WHERE organization_id = $1 AND {lowered("name")} = {lowered("$2")}
                           AND id IS DISTINCT FROM $3)
        """,  # noqa: S608 - constants only
        organization_id,
        storable(name),
        but,
    )
    return found


async def change_project(connection: asyncpg.Connection, project: Project, now: datetime) -> None:
    """Update the columns of a project that people can change."""
    await connection.execute(
        """
        UPDATE projects SET name = $2, delete_bot_data_enabled = $3, promoted_tabs = $4, updated_utc = $5
        WHERE id = $1
        """,
        project.id,
        storable(project.name),
        project.delete_bot_data_enabled,
        [storable(tab) for tab in project.promoted_tabs],
        now,
    )


async def all_project_entries(connection: asyncpg.Connection) -> dict[bytes, ProjectEntry]:
    """Every project by its id, for the projection."""
    rows = await connection.fetch("SELECT id, organization_id, config_version, settings FROM projects")
    return {row["id"].bytes: project_entry(row) for row in rows}


def project_entry(row: asyncpg.Record) -> ProjectEntry:
    """The projection entry from the row's organization, version and settings."""
    settings = decoded_settings(row["settings"])
    return ProjectEntry(row["organization_id"].bytes, row["config_version"], settings)


def _condition(ids: Iterable[UUID], narrowing: Narrowing | None, arguments: Arguments) -> str:
    has_organization = f"p.organization_id = ANY({arguments.add(list(ids))})"
    return f"{has_organization} AND {narrowed(ProjectConditions, narrowing, arguments)}"


def _project(row: Any) -> Project:
    return Project(**{**row, "promoted_tabs": tuple(row["promoted_tabs"])})

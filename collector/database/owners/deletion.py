"""Deletes organizations and projects; their data becomes invisible immediately and is removed later.

Queries only name projects that exist, so the remaining data cannot be read. `collector.database.owners.purge`
removes it in small steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

import asyncpg

from collector.database.owners.organizations import member_ids
from collector.database.owners.tokens import tokens_of_users


@dataclass(frozen=True, slots=True)
class Gone:
    """The deleted projects and tokens, and the tokens whose access has shrunk; tokens by public part."""

    projects: list[UUID] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    changed_tokens: list[str] = field(default_factory=list)


async def delete_organizations(connection: asyncpg.Connection, organization_ids: Sequence[UUID]) -> Gone:
    """Delete organizations with their projects and tokens; their members stay."""
    async with connection.transaction():
        # Lock in order of id, as every transaction does, to avoid deadlocks. From here on no transaction can
        # add a project or a member.
        await connection.execute(
            "SELECT FROM organizations WHERE id = ANY($1) ORDER BY id FOR UPDATE", organization_ids
        )
        rows = await connection.fetch(
            "SELECT id FROM projects WHERE organization_id = ANY($1)", organization_ids
        )
        gone = await _delete_projects(connection, [row["id"] for row in rows])
        own = await connection.fetch(
            "DELETE FROM tokens WHERE organization_id = ANY($1) RETURNING id", organization_ids
        )
        # Members keep their tokens, which now give access to one organization less.
        members = await tokens_of_users(connection, await member_ids(connection, organization_ids))
        await connection.execute("DELETE FROM organizations WHERE id = ANY($1)", organization_ids)
    return Gone(
        projects=gone.projects,
        tokens=gone.tokens + [row["id"] for row in own],
        changed_tokens=sorted({*gone.changed_tokens, *members}),
    )


async def delete_projects(connection: asyncpg.Connection, project_ids: Sequence[UUID]) -> Gone:
    """Delete projects with their tokens."""
    async with connection.transaction():
        return await _delete_projects(connection, project_ids)


async def is_deleted(connection: asyncpg.Connection, project_id: UUID) -> bool:
    """Whether the project existed once and was deleted; its id must not be used again."""
    found: bool = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM deleted_projects WHERE project_id = $1)", project_id
    )
    return found


async def _delete_projects(connection: asyncpg.Connection, project_ids: Sequence[UUID]) -> Gone:
    locked = await connection.fetch(
        "SELECT id FROM projects WHERE id = ANY($1) ORDER BY id FOR UPDATE", project_ids
    )
    found = [row["id"] for row in locked]
    # The purge finds the project's data by this row. An id that was used before starts a new purge.
    await connection.execute(
        "INSERT INTO deleted_projects (project_id, organization_id)"
        " SELECT id, organization_id FROM projects WHERE id = ANY($1)"
        " ON CONFLICT (project_id) DO UPDATE SET deleted_utc = now(), emptied_utc = NULL",
        found,
    )
    own = await connection.fetch("DELETE FROM tokens WHERE project_id = ANY($1) RETURNING id", found)
    changed = await connection.fetch(
        "UPDATE tokens SET default_project_id = NULL WHERE default_project_id = ANY($1) RETURNING id", found
    )
    await connection.execute("DELETE FROM projects WHERE id = ANY($1)", found)
    return Gone(found, [row["id"] for row in own], [row["id"] for row in changed])

"""The client configuration of a project: settings and their version, changed in one statement.

Versions only grow. `newest_entry` locks the project while the caller publishes its newest state to ingest, so
that of two concurrent changes the later one wins.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID

import asyncpg

from collector.database.owners.projects import project_entry
from collector.database.text import storable
from collector.domain.access.projection import ProjectEntry

SETTINGS_AT_MOST: Final = 1000
BYTES_AT_MOST: Final = 256 * 1024
"""Limit on a project's settings as JSON: every ingest process caches them, every client downloads them."""
ORGANIZATION_BYTES_AT_MOST: Final = 512 * 1024
"""Limit on the settings of all projects of an organization: Redis holds them beside the queue."""


async def put_setting(connection: asyncpg.Connection, project_id: UUID, key: str, value: str) -> bool:
    """Set one setting; False if that would exceed a limit, or if the project does not exist."""
    status: str = await connection.execute(
        """
        UPDATE projects
        SET settings = settings || jsonb_build_object($2::text, $3::text),
            config_version = config_version + 1, updated_utc = now()
        WHERE id = $1 AND (settings ? $2::text OR (SELECT count(*) FROM jsonb_object_keys(settings)) < $4)
            AND octet_length((settings || jsonb_build_object($2::text, $3::text))::text) <= least($5, $6 - (
                SELECT coalesce(sum(octet_length(other.settings::text)), 0) FROM projects AS other
                WHERE other.organization_id = projects.organization_id AND other.id <> $1))
        """,
        project_id,
        storable(key),
        storable(value),
        SETTINGS_AT_MOST,
        BYTES_AT_MOST,
        ORGANIZATION_BYTES_AT_MOST,
    )
    return status.endswith(" 1")


async def remove_setting(connection: asyncpg.Connection, project_id: UUID, key: str) -> None:
    """Remove one setting; if there is none, the version stays as it is."""
    await connection.execute(
        """
        UPDATE projects
        SET settings = settings - $2::text,
            config_version = config_version + 1, updated_utc = now()
        WHERE id = $1 AND settings ? $2::text
        """,
        project_id,
        storable(key),
    )


async def read_settings(connection: asyncpg.Connection, project_id: UUID) -> ProjectEntry | None:
    """The project's version and settings; None if the project is gone."""
    row = await connection.fetchrow(
        "SELECT organization_id, config_version, settings FROM projects WHERE id = $1", project_id
    )
    return None if row is None else project_entry(row)


@asynccontextmanager
async def newest_entry(
    connection: asyncpg.Connection, project_id: UUID
) -> AsyncIterator[ProjectEntry | None]:
    """The project's projection entry, None if the project is gone; the row is locked inside the block."""
    async with connection.transaction():
        row = await connection.fetchrow(
            """
            SELECT organization_id, config_version, settings FROM projects WHERE id = $1 FOR NO KEY UPDATE
            """,
            project_id,
        )
        yield None if row is None else project_entry(row)

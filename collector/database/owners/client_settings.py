"""The client configuration of a project: settings and their version, changed in one statement.

A version only grows. Ingest are told under a lock on the project, always the newest state, so that of two
changes at once the later one is what they know.
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
"""Of all settings of a project as JSON: all of ingest keeps them in memory, and each client fetches them."""


async def put_setting(connection: asyncpg.Connection, project_id: UUID, key: str, value: str) -> bool:
    """Set one; False where that would be too many or too much, or where the project is gone."""
    status: str = await connection.execute(
        """
        UPDATE projects
        SET settings = settings || jsonb_build_object($2::text, $3::text),
            config_version = config_version + 1, updated_utc = now()
        WHERE id = $1 AND (settings ? $2::text OR (SELECT count(*) FROM jsonb_object_keys(settings)) < $4)
            AND octet_length((settings || jsonb_build_object($2::text, $3::text))::text) <= $5
        """,
        project_id,
        storable(key),
        storable(value),
        SETTINGS_AT_MOST,
        BYTES_AT_MOST,
    )
    return status.endswith(" 1")


async def remove_setting(connection: asyncpg.Connection, project_id: UUID, key: str) -> None:
    """Remove one; where it is not there the version stays."""
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


@asynccontextmanager
async def newest_entry(
    connection: asyncpg.Connection, project_id: UUID
) -> AsyncIterator[ProjectEntry | None]:
    """What ingest must know of the project, which nobody changes inside the block."""
    async with connection.transaction():
        row = await connection.fetchrow(
            """
            SELECT organization_id, config_version, settings FROM projects WHERE id = $1 FOR NO KEY UPDATE
            """,
            project_id,
        )
        yield None if row is None else project_entry(row)

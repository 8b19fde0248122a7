"""Reads the token projection, all that ingest needs to know, from one snapshot of Postgres."""

import asyncpg

from collector.database.owners.organizations import all_organization_entries
from collector.database.owners.projects import all_project_entries
from collector.database.owners.tokens import all_entries
from collector.database.pool import connected
from collector.domain.access.projection import Projection


async def load_projection(pool: asyncpg.Pool) -> Projection:
    """All entries, from one snapshot. Raises DatabaseUnavailable."""
    async with (
        connected(pool) as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        return Projection(
            tokens=await all_entries(connection),
            projects=await all_project_entries(connection),
            organizations=await all_organization_entries(connection),
        )

"""The rules that projects' settings set for their events, read by the worker."""

from collections.abc import Collection, Mapping
from functools import lru_cache
from uuid import UUID

import asyncpg

from collector.database.owners.projects import decoded_settings
from collector.database.pool import connected
from collector.domain.project.rules import ProjectRules


class StoredProjects:
    """Queries Postgres at every call, so that changed settings apply to every worker's next transaction."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def rules_for(self, project_ids: Collection[bytes]) -> Mapping[bytes, ProjectRules]:
        """The rules of each of these projects that exists. Raises DatabaseUnavailable."""
        async with connected(self._pool) as connection:
            rows = await connection.fetch(
                "SELECT id, settings, delete_bot_data_enabled FROM projects WHERE id = ANY($1)",
                [UUID(bytes=id_) for id_ in project_ids],
            )
        return {
            row["id"].bytes: _rules(row["settings"], delete_bot_data=row["delete_bot_data_enabled"])
            for row in rows
        }


@lru_cache(maxsize=256)
def _rules(settings: bytes, *, delete_bot_data: bool) -> ProjectRules:
    return ProjectRules(decoded_settings(settings), delete_bot_data=delete_bot_data)

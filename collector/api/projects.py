"""GET /api/v2/projects: the projects of the identity's organizations (contract 6)."""

from typing import Any, Final

import asyncpg
from aiohttp import web

from collector.api.authentication import IDENTITY, Identity
from collector.api.lists import list_response
from collector.api.parameters import page_of, parameters_of
from collector.api.route import Role, Route
from collector.api.service import API
from collector.database.pool import connected
from collector.database.projects import Project, count_projects, find_project, list_projects
from collector.domain.errors import NotFound
from collector.domain.identifiers import uuid_of

_MAXIMUM_LIMIT: Final = 1000
_UNSUPPORTED: Final = ("filter", "sort", "mode")


async def get_projects(request: web.Request) -> web.Response:
    """A page of them, by name."""
    api, identity = request.app[API], request[IDENTITY]
    page = page_of(parameters_of(request, unsupported=_UNSUPPORTED), maximum=_MAXIMUM_LIMIT)
    async with connected(api.pool) as connection:
        total = await count_projects(connection, identity.organization_ids)
        found: list[Project] = []
        if not page.is_too_deep:
            found = await list_projects(
                connection, identity.organization_ids, limit=page.limit, offset=page.offset
            )
    following = page.after(len(found)) if found and page.offset + len(found) < total else None
    return list_response(request, [project_view(p) for p in found], page, following, total)


async def reachable_project(connection: asyncpg.Connection, identity: Identity, project_id: str) -> Project:
    """The project that a path names; NotFound also when it is another organization's."""
    found = uuid_of(project_id)
    project = None if found is None else await find_project(connection, found)
    if project is None or not identity.reaches(project.organization_id):
        raise NotFound("There is no such project.")
    return project


def project_view(project: Project) -> dict[str, Any]:
    """A project as the clients of the official server know it."""
    return {
        "id": project.id.hex,
        "created_utc": project.created_utc,
        "organization_id": project.organization_id.hex,
        "organization_name": project.organization_name,
        "name": project.name,
        "delete_bot_data_enabled": False,
        "promoted_tabs": [],
        "stack_count": 0,
        "event_count": 0,
        "has_premium_features": True,
        "has_slack_integration": False,
        "usage_hours": [],
        "usage": [],
    }


ROUTES: Final = (Route("GET", "/projects", get_projects, Role.USER),)

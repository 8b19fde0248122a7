"""The operators' commands for projects."""

from typing import Final

from collector.admin.naming import resolve_organization, resolve_project
from collector.admin.system import OPERATOR
from collector.api.core.projection_updates import publish_deletions
from collector.api.core.service import Api
from collector.api.manage.projects import NewProject, ProjectView, make_project, project_views
from collector.api.request.request_body import converted
from collector.database.owners.deletion import delete_projects
from collector.database.owners.organizations import all_organizations
from collector.database.owners.projects import list_projects
from collector.database.pool import connected

_AT_MOST: Final = 1_000_000


async def create(api: Api, name: str, organization: str) -> ProjectView:
    """Create a project in an organization."""
    async with connected(api.pool) as connection:
        owner = await resolve_organization(connection, organization)
    wanted = converted({"name": name, "organization_id": owner.id.hex}, NewProject)
    made = await make_project(api, OPERATOR, wanted)
    return await show(api, made.id.hex)


async def list_all(api: Api, organization: str | None) -> list[ProjectView]:
    """All projects, or those of one organization, by name."""
    async with connected(api.pool) as connection:
        if organization is None:
            owners = await all_organizations(connection)
        else:
            owners = [await resolve_organization(connection, organization)]
        ids = [owner.id for owner in owners]
        found = await list_projects(connection, ids, limit=_AT_MOST, offset=0)
        return await project_views(api, connection, found)


async def show(api: Api, name: str) -> ProjectView:
    """One project, with its statistics."""
    async with connected(api.pool) as connection:
        found = await resolve_project(connection, name)
        (view,) = await project_views(api, connection, [found], with_statistics=True)
        return view


async def delete(api: Api, name: str) -> ProjectView:
    """Delete a project; a worker purges its events later."""
    view = await show(api, name)
    async with connected(api.pool) as connection:
        found = await resolve_project(connection, name)
        gone = await delete_projects(connection, [found.id])
    await publish_deletions(api, gone)
    return view

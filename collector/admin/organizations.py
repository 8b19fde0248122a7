"""The operators' commands for organizations; only operators can suspend one."""

import asyncpg

from collector.admin.naming import resolve_organization
from collector.admin.system import OPERATOR
from collector.api.core.projection_updates import publish_deletions, publish_organization
from collector.api.core.service import Api
from collector.api.manage.organizations import (
    NewOrganization,
    OrganizationView,
    make_organization,
    organization_views,
)
from collector.api.request.request_body import converted
from collector.database.owners.deletion import delete_organizations
from collector.database.owners.organizations import (
    Organization,
    all_organizations,
    limit_organization,
    suspend_organization,
)
from collector.database.owners.users import find_user
from collector.database.pool import connected
from collector.domain.errors import NotFound


async def create(api: Api, name: str, owner: str | None) -> OrganizationView:
    """Create an organization; `owner` is the e-mail address of its first member."""
    wanted = converted({"name": name}, NewOrganization)
    async with connected(api.pool) as connection:
        user = None if owner is None else await find_user(connection, owner)
    if owner is not None and user is None:
        raise NotFound(f"There is no user {owner}.")
    made = await make_organization(api, wanted.name, user.id if user else None)
    return await show(api, made.id.hex)


async def list_all(api: Api) -> list[OrganizationView]:
    """All organizations, by name."""
    async with connected(api.pool) as connection:
        return await organization_views(api, connection, OPERATOR, await all_organizations(connection))


async def show(api: Api, name: str) -> OrganizationView:
    """One organization, with its statistics."""
    async with connected(api.pool) as connection:
        return await _view(api, connection, await resolve_organization(connection, name))


async def change(api: Api, name: str, *, is_suspended: bool) -> OrganizationView:
    """Suspend an organization, so that its tokens are refused and its events hidden, or resume it."""
    async with connected(api.pool) as connection:
        found = await resolve_organization(connection, name)
        await suspend_organization(connection, found.id, api.clock.now(), is_suspended=is_suspended)
    await publish_organization(api, found.id)
    return await show(api, name)


async def limit(api: Api, name: str, *, events_a_month: int) -> OrganizationView:
    """Refuse posts once this many events of a month (UTC) are stored; 0 means no limit."""
    async with connected(api.pool) as connection:
        found = await resolve_organization(connection, name)
        await limit_organization(connection, found.id, api.clock.now(), events_a_month or None)
    await publish_organization(api, found.id)
    return await show(api, name)


async def delete(api: Api, name: str) -> OrganizationView:
    """Delete an organization with its projects and tokens; a worker purges its events later."""
    async with connected(api.pool) as connection:
        found = await resolve_organization(connection, name)
        view = await _view(api, connection, found)
        gone = await delete_organizations(connection, [found.id])
    await publish_deletions(api, gone, [found.id])
    return view


async def _view(api: Api, connection: asyncpg.Connection, organization: Organization) -> OrganizationView:
    (view,) = await organization_views(api, connection, OPERATOR, [organization], with_statistics=True)
    return view

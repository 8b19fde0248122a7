"""Organizations, for operators: only they suspend one."""

import asyncpg

from collector.admin.naming import meant_organization
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
    """A new organization; `owner` is the address of the user who belongs to it."""
    wanted = converted({"name": name}, NewOrganization)
    async with connected(api.pool) as connection:
        user = None if owner is None else await find_user(connection, owner)
    if owner is not None and user is None:
        raise NotFound(f"There is no user {owner}.")
    made = await make_organization(api, wanted.name, user.id if user else None)
    return await show(api, made.id.hex)


async def list_all(api: Api) -> list[OrganizationView]:
    """Every organization, by name."""
    async with connected(api.pool) as connection:
        return await organization_views(api, connection, OPERATOR, await all_organizations(connection))


async def show(api: Api, name: str) -> OrganizationView:
    """One of them, with what it has."""
    async with connected(api.pool) as connection:
        return await _view(api, connection, await meant_organization(connection, name))


async def change(api: Api, name: str, *, is_suspended: bool) -> OrganizationView:
    """Suspend an organization: its tokens are refused and its events not shown; or let it go on."""
    async with connected(api.pool) as connection:
        found = await meant_organization(connection, name)
        await suspend_organization(connection, found.id, api.clock.now(), is_suspended=is_suspended)
    await publish_organization(api, found.id)
    return await show(api, name)


async def limit(api: Api, name: str, *, events_a_month: int) -> OrganizationView:
    """Take no more posts once so many events of a month (UTC) are stored; 0 is no limit."""
    async with connected(api.pool) as connection:
        found = await meant_organization(connection, name)
        await limit_organization(connection, found.id, api.clock.now(), events_a_month or None)
    await publish_organization(api, found.id)
    return await show(api, name)


async def delete(api: Api, name: str) -> OrganizationView:
    """Delete an organization with all that belongs to it; a worker removes what is left behind."""
    async with connected(api.pool) as connection:
        found = await meant_organization(connection, name)
        view = await _view(api, connection, found)
        gone = await delete_organizations(connection, [found.id])
    await publish_deletions(api, gone, [found.id])
    return view


async def _view(api: Api, connection: asyncpg.Connection, organization: Organization) -> OrganizationView:
    (view,) = await organization_views(api, connection, OPERATOR, [organization], with_statistics=True)
    return view

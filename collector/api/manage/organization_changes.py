"""Creating, renaming and deleting organizations (contract 6). Deletion takes effect immediately."""

from http import HTTPStatus
from typing import Final
from uuid import UUID

import msgspec
from aiohttp import hdrs, web
from msgspec import UNSET, UnsetType

from collector.api.auth.authentication import IDENTITY
from collector.api.core.absolute_urls import absolute_url
from collector.api.core.deletion import DELETED, BulkResult, asked_ids, bulk_response
from collector.api.core.names import Name, clean_name, name_taken
from collector.api.core.projection_updates import publish_deletions, publish_new_organization
from collector.api.core.route import Role, Route
from collector.api.core.service import API, Api
from collector.api.manage.organizations import (
    OrganizationView,
    named_organization,
    organization_views,
    reachable_organization,
)
from collector.api.request.request_body import read_body
from collector.database.owners.deletion import delete_organizations as delete_from_database
from collector.database.owners.organizations import (
    Organization,
    add_member,
    add_organization,
    find_organization,
    has_organization_named,
    rename_organization,
)
from collector.database.owners.users import lock_user
from collector.database.pool import connected
from collector.database.row_lock import RowLock
from collector.domain.errors import NotFound
from collector.http.operation import Answer, documented, json_body
from collector.http.responses import json_response

_KIND: Final = "Organization"


class NewOrganization(msgspec.Struct, frozen=True):
    """An organization to be created."""

    name: Name = ""


class OrganizationChange(msgspec.Struct, frozen=True):
    """The members of an organization that can be changed."""

    name: Name | UnsetType = UNSET


@documented(
    "Organization",
    {201: Answer(OrganizationView, headers=("Location",))},
    body=json_body(NewOrganization, {"name": "Acme"}),
)
async def post_organization(request: web.Request) -> web.Response:
    """Create an organization with the caller as its first member; 201 once ingest accepts its tokens."""
    api, identity = request.app[API], request[IDENTITY]
    wanted = await read_body(request, NewOrganization, is_required=True)
    made = await make_organization(api, wanted.name, identity.person)
    async with connected(api.pool) as connection:
        (view,) = await organization_views(api, connection, identity, [made])
    location = absolute_url(request, f"/api/v2/organizations/{made.id.hex}")
    return json_response(view, HTTPStatus.CREATED, {hdrs.LOCATION: location})


async def make_organization(api: Api, name: str, user_id: UUID | None) -> Organization:
    """Create an organization, with its first member if one is given, and publish it to ingest."""
    name, organization_id = clean_name(_KIND, name), api.new_id()
    async with connected(api.pool) as connection, connection.transaction():
        # Without the lock, two simultaneous requests would create two of the same name.
        user = None if user_id is None else await lock_user(connection, user_id)
        if await has_organization_named(connection, user.organization_ids if user else (), name):
            raise name_taken(_KIND)
        await add_organization(connection, organization_id, name)
        if user_id is not None:
            await add_member(connection, organization_id, user_id)
    await publish_new_organization(api, organization_id, user_id)
    async with connected(api.pool) as connection:
        made = await find_organization(connection, organization_id)
    if made is None:
        raise NotFound("The organization has just been deleted.")
    return made


@documented(
    "Organization",
    {200: Answer(OrganizationView)},
    body=json_body(OrganizationChange, {"name": "Acme and Sons"}),
)
async def patch_organization(request: web.Request) -> web.Response:
    """Rename an organization; an empty object changes nothing."""
    api, identity = request.app[API], request[IDENTITY]
    change = await read_body(request, OrganizationChange, is_required=True)
    async with connected(api.pool) as connection, connection.transaction():
        organization = await reachable_organization(
            connection, identity, request.match_info["id"], RowLock.CHANGE
        )
        if change.name is not UNSET:
            name = clean_name(_KIND, change.name)
            own = identity.organization_ids
            if await has_organization_named(connection, own, name, but=organization.id):
                raise name_taken(_KIND)
            organization = await rename_organization(connection, organization.id, name, api.clock.now())
        (view,) = await organization_views(api, connection, identity, [organization])
    return json_response(view)


@documented("Organization", DELETED)
async def delete_organizations(request: web.Request) -> web.Response:
    """Delete organizations with everything in them; 202 once ingest refuses their tokens."""
    api, result = request.app[API], BulkResult()
    ids = []
    async with connected(api.pool) as connection:
        for text in asked_ids(request):
            organization = await named_organization(connection, request[IDENTITY], text)
            if organization is None:
                result.add_not_found(text, "There is no such organization.")
            else:
                result.success.append(text)
                ids.append(organization.id)
        gone = await delete_from_database(connection, ids)
    await publish_deletions(api, gone, ids)
    return bulk_response(result)


ROUTES: Final = (
    Route("POST", "/organizations", post_organization, Role.PERSON),
    Route("PATCH", "/organizations/{id:objectid}", patch_organization, Role.USER),
    Route("PUT", "/organizations/{id:objectid}", patch_organization, Role.USER),
    Route("DELETE", "/organizations/{ids:objectids}", delete_organizations, Role.USER),
)

"""Organizations: list, read, create, rename, delete (contract 6). Each has an unlimited plan (10, row 8)."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Final
from uuid import UUID

import asyncpg
import msgspec
from aiohttp import hdrs, web
from msgspec import UNSET, UnsetType

from collector.api.auth.authentication import IDENTITY, Identity
from collector.api.auth.searching import looking_up
from collector.api.core.absolute_urls import absolute_url
from collector.api.core.deletion import DELETED, BulkResult, asked_ids, bulk_response
from collector.api.core.names import Name, clean_name, name_taken
from collector.api.core.projection_updates import publish_deletions, publish_new_organization
from collector.api.core.route import Role, Route
from collector.api.core.service import API, Api
from collector.api.manage.narrowing import FILTER, parse_narrowing
from collector.api.manage.usage_view import UNLIMITED, HourlyUsageView, MonthlyUsageView, hourly, monthly
from collector.api.request.filter_warnings import FILTER_WARNING_HEADER, with_warnings
from collector.api.request.parameters import STATISTICS, query_parameters, wants_statistics
from collector.api.request.request_body import read_body
from collector.database.owners.deletion import delete_organizations as delete_from_database
from collector.database.owners.invitations import list_invitations
from collector.database.owners.organizations import (
    Organization,
    add_member,
    add_organization,
    find_organization,
    has_organization_named,
    list_organizations,
    rename_organization,
)
from collector.database.owners.statistics import NOTHING, Statistics, statistics_of_organizations
from collector.database.owners.users import lock_user
from collector.database.pool import connected
from collector.database.row_lock import RowLock
from collector.database.writing.usage import organization_usage
from collector.domain.accounting.usage import NO_USAGE, Usage
from collector.domain.errors import BadRequest, NotFound
from collector.domain.filter.owner_fields import ORGANIZATION_FIELDS
from collector.domain.ids import parse_uuid
from collector.http.operation import Answer, documented, json_body
from collector.http.responses import json_response
from collector.http.throttle import counted_organization

_ACTIVE: Final = 1


ORGANIZATIONS_AT_MOST: Final = 100
"""Of one person: each takes memory in Redis."""


class InvitationView(msgspec.Struct, frozen=True):
    """An invitation; signing up or logging in with its token makes the person a member."""

    token: str
    email_address: str
    date_added: datetime


class OrganizationView(msgspec.Struct, frozen=True, kw_only=True):
    """An organization in the format of the official server; there are no plans and no bills here."""

    id: str
    created_utc: datetime
    updated_utc: datetime
    name: str
    plan_id: str = "EX_UNLIMITED"
    plan_name: str = "Unlimited"
    plan_description: str = "Unlimited"
    billing_status: int = _ACTIVE
    billing_price: int = 0
    max_events_per_month: int = UNLIMITED
    bonus_events_per_month: int = 0
    retention_days: int
    is_suspended: bool
    has_premium_features: bool = True
    features: tuple[()] = ()
    max_users: int = UNLIMITED
    max_projects: int = UNLIMITED
    project_count: int
    stack_count: int
    event_count: int
    invites: tuple[InvitationView, ...]
    usage_hours: tuple[HourlyUsageView, ...]
    usage: tuple[MonthlyUsageView, ...]
    is_throttled: bool = False
    is_over_monthly_limit: bool
    is_over_request_limit: bool


_KIND: Final = "Organization"


class NewOrganization(msgspec.Struct, frozen=True):
    """An organization to be created."""

    name: Name = ""


class OrganizationChange(msgspec.Struct, frozen=True):
    """The members of an organization that can be changed."""

    name: Name | UnsetType = UNSET


@documented(
    "Organization",
    {200: Answer(list[OrganizationView], headers=(FILTER_WARNING_HEADER,))},
    parameters=(FILTER, STATISTICS),
)
async def get_organizations(request: web.Request) -> web.Response:
    """List organizations, all or those that a filter selects, in one array without paging."""
    api, parameters = request.app[API], query_parameters(request)
    narrowing = parse_narrowing(request, parameters, ORGANIZATION_FIELDS)
    async with looking_up(request) as connection:
        found = await list_organizations(connection, request[IDENTITY].organization_ids, narrowing)
        views = await organization_views(
            api, connection, request[IDENTITY], found, with_statistics=wants_statistics(parameters)
        )
    return with_warnings(request, json_response(views))


@documented("Organization", {200: Answer(OrganizationView)}, parameters=(STATISTICS,))
async def get_organization(request: web.Request) -> web.Response:
    """Get one organization."""
    api, parameters = request.app[API], query_parameters(request)
    async with connected(api.pool) as connection:
        organization = await reachable_organization(connection, request[IDENTITY], request.match_info["id"])
        (view,) = await organization_views(
            api, connection, request[IDENTITY], [organization], with_statistics=wants_statistics(parameters)
        )
    return json_response(view)


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
    # After the commit: ingest must not refuse the tokens of an organization that a rollback keeps.
    await publish_deletions(api, gone, ids)
    return bulk_response(result)


async def reachable_organization(
    connection: asyncpg.Connection, identity: Identity, organization_id: str, lock: RowLock = RowLock.NONE
) -> Organization:
    """The organization with this id. Raises NotFound, also if the identity does not belong to it."""
    organization = await named_organization(connection, identity, organization_id, lock)
    if organization is None:
        raise NotFound("There is no such organization.")
    return organization


async def named_organization(
    connection: asyncpg.Connection, identity: Identity, organization_id: str, lock: RowLock = RowLock.NONE
) -> Organization | None:
    """The organization with this id; None also if the identity does not belong to it."""
    found = parse_uuid(organization_id)
    if found is None or not identity.reaches(found):
        return None
    return await find_organization(connection, found, lock)


async def organization_views(
    api: Api,
    connection: asyncpg.Connection,
    identity: Identity,
    organizations: Sequence[Organization],
    *,
    with_statistics: bool = False,
) -> list[OrganizationView]:
    """The organizations as answers show them; counts are 0 without `with_statistics`.

    Programs do not see invitations: with an invitation's token a program could sign up as a person.
    """
    ids, now = [organization.id for organization in organizations], api.clock.now()
    statistics: Mapping[UUID, Statistics] = {}
    if with_statistics:
        statistics = await statistics_of_organizations(connection, ids, api.oldest_kept)
    invitations: defaultdict[UUID, list[InvitationView]] = defaultdict(list)
    for invited in [] if identity.is_token else await list_invitations(connection, ids, now):
        invitation = InvitationView(invited.token, invited.email_address, invited.created_utc)
        invitations[invited.organization_id].append(invitation)
    # One query for all of them, not one for each.
    usage = await organization_usage(connection, ids, now)
    used_up = await api.throttle.exhausted([counted_organization(id_.hex) for id_ in ids])
    return [
        _view(
            api,
            organization,
            statistics.get(organization.id, NOTHING),
            usage.get(organization.id, NO_USAGE),
            invitations[organization.id],
            is_over_request_limit=counted_organization(organization.id.hex) in used_up,
        )
        for organization in organizations
    ]


def _view(
    api: Api,
    organization: Organization,
    counted: Statistics,
    usage: Usage,
    invitations: Iterable[InvitationView],
    *,
    is_over_request_limit: bool,
) -> OrganizationView:
    now = api.clock.now()
    return OrganizationView(
        id=organization.id.hex,
        created_utc=organization.created_utc,
        updated_utc=organization.updated_utc,
        name=organization.name,
        retention_days=api.retention.days,
        is_suspended=organization.is_suspended,
        max_events_per_month=organization.monthly_event_limit or UNLIMITED,
        is_over_monthly_limit=organization.is_over_limit,
        is_over_request_limit=is_over_request_limit,
        project_count=counted.projects,
        stack_count=counted.stacks,
        event_count=counted.events,
        invites=tuple(invitations),
        usage_hours=hourly(usage, now),
        usage=monthly(usage, organization.monthly_event_limit, now),
    )


async def make_organization(api: Api, name: str, user_id: UUID | None) -> Organization:
    """Create an organization, with its first member if one is given, and publish it to ingest."""
    name, organization_id = clean_name(_KIND, name), api.new_id()
    async with connected(api.pool) as connection, connection.transaction():
        # Without the lock, two simultaneous requests would create two of the same name.
        user = None if user_id is None else await lock_user(connection, user_id)
        if await has_organization_named(connection, user.organization_ids if user else (), name):
            raise name_taken(_KIND)
        if user is not None and len(user.organization_ids) >= ORGANIZATIONS_AT_MOST:
            raise BadRequest(f"A person can belong to at most {ORGANIZATIONS_AT_MOST} organizations.")
        await add_organization(connection, organization_id, name)
        if user_id is not None:
            await add_member(connection, organization_id, user_id)
    await publish_new_organization(api, organization_id, user_id)
    async with connected(api.pool) as connection:
        made = await find_organization(connection, organization_id)
    if made is None:
        raise NotFound("The organization has just been deleted.")
    return made


ROUTES: Final = (
    Route("GET", "/organizations", get_organizations, Role.USER),
    Route("GET", "/organizations/{id:objectid}", get_organization, Role.USER),
    Route("POST", "/organizations", post_organization, Role.PERSON),
    Route("PATCH", "/organizations/{id:objectid}", patch_organization, Role.USER),
    Route("PUT", "/organizations/{id:objectid}", patch_organization, Role.USER),
    Route("DELETE", "/organizations/{ids:objectids}", delete_organizations, Role.USER),
)

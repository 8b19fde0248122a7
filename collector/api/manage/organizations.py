"""Reading the identity's organizations; each has an unlimited plan (contract 6, 10 row 8)."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg
import msgspec
from aiohttp import web

from collector.api.auth.authentication import IDENTITY, Identity
from collector.api.auth.searching import looking_up
from collector.api.core.route import Role, Route
from collector.api.core.service import API, Api
from collector.api.manage.narrowing import FILTER, parse_narrowing
from collector.api.manage.usage_view import UNLIMITED, HourlyUsageView, MonthlyUsageView, hourly, monthly
from collector.api.request.filter_warnings import FILTER_WARNING_HEADER, with_warnings
from collector.api.request.parameters import STATISTICS, query_parameters, wants_statistics
from collector.database.owners.invitations import Invitation, list_invitations
from collector.database.owners.organizations import Organization, find_organization, list_organizations
from collector.database.owners.statistics import NOTHING, Statistics, statistics_of_organizations
from collector.database.pool import connected
from collector.database.row_lock import RowLock
from collector.database.writing.usage import organization_usage
from collector.domain.accounting.usage import NO_USAGE, Usage
from collector.domain.errors import NotFound
from collector.domain.filter.owner_fields import ORGANIZATION_FIELDS
from collector.domain.ids import parse_uuid
from collector.http.operation import Answer, documented
from collector.http.responses import json_response
from collector.http.throttle import counted_organization

_ACTIVE: Final = 1


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
    invitations = _by_organization([] if identity.is_token else await list_invitations(connection, ids, now))
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


def _by_organization(invitations: Iterable[Invitation]) -> Mapping[UUID, list[InvitationView]]:
    views: defaultdict[UUID, list[InvitationView]] = defaultdict(list)
    for invited in invitations:
        view = InvitationView(invited.token, invited.email_address, invited.created_utc)
        views[invited.organization_id].append(view)
    return views


ROUTES: Final = (
    Route("GET", "/organizations", get_organizations, Role.USER),
    Route("GET", "/organizations/{id:objectid}", get_organization, Role.USER),
)

"""Reading the projects of the identity's organizations (contract 6)."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import asyncpg
import msgspec
from aiohttp import web

from collector.api.auth.authentication import IDENTITY, Identity
from collector.api.auth.searching import looking_up
from collector.api.core.route import Role, Route
from collector.api.core.service import API, Api
from collector.api.manage.narrowing import FILTER, parse_narrowing
from collector.api.manage.organizations import reachable_organization
from collector.api.manage.usage_view import HourlyUsageView, MonthlyUsageView, hourly, monthly
from collector.api.request.lists import FILTERED_LIST_HEADERS, list_response
from collector.api.request.parameters import (
    STATISTICS,
    paging,
    query_parameters,
    requested_page,
    wants_statistics,
)
from collector.database.owners.projects import (
    Project,
    ProjectOrder,
    count_projects,
    find_project,
    list_projects,
)
from collector.database.owners.statistics import NOTHING, Statistics, statistics_of_projects
from collector.database.pool import connected
from collector.database.row_lock import RowLock
from collector.database.writing.usage import project_usage
from collector.domain.accounting.usage import NO_USAGE, Usage
from collector.domain.errors import BadRequest, NotFound
from collector.domain.filter.owner_fields import PROJECT_FIELDS
from collector.domain.ids import parse_uuid
from collector.http.operation import Answer, Parameter, documented
from collector.http.responses import json_response

_MAXIMUM_LIMIT: Final = 1000
_AT_ONCE: Final = 100
"""Projects whose usage is computed without yielding: 50 ms on the event loop when every hour has some."""
_ORDERS: Final = {
    "": ProjectOrder.NAME,
    "name": ProjectOrder.NAME,
    "-name": ProjectOrder.NAME_DESCENDING,
    "created_utc": ProjectOrder.CREATED,
    "-created_utc": ProjectOrder.CREATED_DESCENDING,
    "created": ProjectOrder.CREATED,
    "-created": ProjectOrder.CREATED_DESCENDING,
}


class ProjectView(msgspec.Struct, frozen=True, kw_only=True):
    """A project in the format of the official server."""

    id: str
    created_utc: datetime
    organization_id: str
    organization_name: str
    name: str
    delete_bot_data_enabled: bool
    promoted_tabs: tuple[str, ...]
    stack_count: int
    event_count: int
    has_premium_features: bool = True
    has_slack_integration: bool = False
    usage_hours: tuple[HourlyUsageView, ...]
    usage: tuple[MonthlyUsageView, ...]


_LISTED: Final = {200: Answer(list[ProjectView], headers=FILTERED_LIST_HEADERS)}
_PARAMETERS: Final = (
    FILTER,
    *paging(_MAXIMUM_LIMIT),
    Parameter(
        "sort",
        "The order; `name` by default.",
        Literal[tuple(filter(None, _ORDERS))],
        example="-created",
    ),
    STATISTICS,
)


@documented("Project", _LISTED, parameters=_PARAMETERS)
async def get_projects(request: web.Request) -> web.Response:
    """List projects, all or those that a filter selects, sorted by name unless `sort` is given."""
    return await _list(request, request[IDENTITY].organization_ids)


@documented("Project", _LISTED, parameters=_PARAMETERS)
async def get_projects_of_organization(request: web.Request) -> web.Response:
    """List the projects of an organization, sorted by name unless `sort` is given."""
    async with connected(request.app[API].pool) as connection:
        organization = await reachable_organization(
            connection, request[IDENTITY], request.match_info["organizationId"]
        )
    return await _list(request, [organization.id])


@documented("Project", {200: Answer(ProjectView)}, parameters=(STATISTICS,))
async def get_project(request: web.Request) -> web.Response:
    """One project."""
    api, parameters = request.app[API], query_parameters(request)
    async with connected(api.pool) as connection:
        project = await reachable_project(connection, request[IDENTITY], request.match_info["id"])
        (view,) = await project_views(
            api, connection, [project], with_statistics=wants_statistics(parameters)
        )
    return json_response(view)


async def reachable_project(
    connection: asyncpg.Connection, identity: Identity, project_id: str, lock: RowLock = RowLock.NONE
) -> Project:
    """The project with this id. Raises NotFound, also if it is another organization's."""
    project = await named_project(connection, identity, project_id, lock)
    if project is None:
        raise NotFound("There is no such project.")
    return project


async def named_project(
    connection: asyncpg.Connection, identity: Identity, project_id: str, lock: RowLock = RowLock.NONE
) -> Project | None:
    """The project with this id; None also if it is another organization's."""
    found = parse_uuid(project_id)
    project = None if found is None else await find_project(connection, found, lock)
    return project if project is not None and identity.reaches(project.organization_id) else None


async def project_views(
    api: Api, connection: asyncpg.Connection, projects: Sequence[Project], *, with_statistics: bool = False
) -> list[ProjectView]:
    """The projects as answers show them; counts are 0 without `with_statistics`."""
    ids, now = [project.id for project in projects], api.clock.now()
    statistics: Mapping[UUID, Statistics] = {}
    if with_statistics:
        statistics = await statistics_of_projects(connection, ids, api.oldest_kept)
    views: list[ProjectView] = []
    for first in range(0, len(projects), _AT_ONCE):
        usage = await project_usage(connection, ids[first : first + _AT_ONCE], now)
        views += [
            _view(project, statistics.get(project.id, NOTHING), usage.get(project.id, NO_USAGE), now)
            for project in projects[first : first + _AT_ONCE]
        ]
    return views


def _view(project: Project, counted: Statistics, usage: Usage, now: datetime) -> ProjectView:
    return ProjectView(
        id=project.id.hex,
        created_utc=project.created_utc,
        organization_id=project.organization_id.hex,
        organization_name=project.organization_name,
        name=project.name,
        delete_bot_data_enabled=project.delete_bot_data_enabled,
        promoted_tabs=project.promoted_tabs,
        stack_count=counted.stacks,
        event_count=counted.events,
        usage_hours=hourly(usage, now),
        usage=monthly(usage, project.monthly_event_limit, now),
    )


async def _list(request: web.Request, organization_ids: Sequence[UUID]) -> web.Response:
    api, parameters = request.app[API], query_parameters(request)
    page, order = requested_page(parameters, maximum=_MAXIMUM_LIMIT), _order_in(parameters)
    meant = organization_ids, parse_narrowing(request, parameters, PROJECT_FIELDS)
    async with looking_up(request) as connection:
        total = await count_projects(connection, *meant)
        found: list[Project] = []
        if not page.is_too_deep:
            found = await list_projects(connection, *meant, limit=page.limit, offset=page.offset, order=order)
        views = await project_views(api, connection, found, with_statistics=wants_statistics(parameters))
    following = page.after(len(found)) if found and page.offset + len(found) < total else None
    return list_response(request, views, page, following, total)


def _order_in(parameters: dict[str, str]) -> ProjectOrder:
    order = _ORDERS.get(parameters.get("sort", "").strip().lower())
    if order is None:
        raise BadRequest(f"The parameter `sort` must be one of {', '.join(filter(None, _ORDERS))}.")
    return order


ROUTES: Final = (
    Route("GET", "/projects", get_projects, Role.USER),
    Route(
        "GET", "/organizations/{organizationId:objectid}/projects", get_projects_of_organization, Role.USER
    ),
    Route("GET", "/projects/{id:objectid}", get_project, Role.USER),
)

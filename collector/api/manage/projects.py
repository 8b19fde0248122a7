"""Projects: list, read, create, change, delete (contract 6). Deletion takes effect immediately."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import Annotated, Final, Literal
from uuid import UUID

import asyncpg
import msgspec
from aiohttp import hdrs, web
from msgspec import UNSET, Meta, UnsetType

from collector.api.auth.authentication import IDENTITY, Identity
from collector.api.auth.searching import looking_up
from collector.api.core.absolute_urls import absolute_url
from collector.api.core.deletion import DELETED, BulkResult, Deleting, asked_ids, bulk_response
from collector.api.core.names import Name, clean_name, name_taken
from collector.api.core.projection_updates import publish_deletions, publish_new_project
from collector.api.core.route import Role, Route
from collector.api.core.service import API, Api
from collector.api.manage.narrowing import FILTER, parse_narrowing
from collector.api.manage.organizations import named_organization, reachable_organization
from collector.api.manage.usage_view import HourlyUsageView, MonthlyUsageView, hourly, monthly
from collector.api.request.lists import FILTERED_LIST_HEADERS, counted_list_response, read_page
from collector.api.request.parameters import (
    STATISTICS,
    paging,
    query_parameters,
    requested_page,
    wants_statistics,
)
from collector.api.request.request_body import EXAMPLE_ID, ObjectId, read_body
from collector.database.owners.deletion import delete_projects as delete_from_database
from collector.database.owners.projects import (
    Project,
    ProjectOrder,
    add_project,
    change_project,
    count_projects,
    count_projects_of,
    find_project,
    has_project_named,
    list_projects,
)
from collector.database.owners.removals import ask_for_removal
from collector.database.owners.statistics import NOTHING, Statistics, statistics_of_projects
from collector.database.pool import connected
from collector.database.row_lock import RowLock
from collector.database.writing.usage import project_usage
from collector.domain.accounting.usage import NO_USAGE
from collector.domain.errors import BadRequest, NotFound
from collector.domain.filter.owner_fields import PROJECT_FIELDS
from collector.domain.ids import parse_uuid
from collector.http.operation import Answer, Parameter, documented, json_body
from collector.http.responses import json_response

_MAXIMUM_LIMIT: Final = 1000
PROJECTS_AT_MOST: Final = 1000
"""Of one organization: each takes memory in Redis and in every ingest process."""
_PROJECTS_PER_QUERY: Final = 100
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
_KIND: Final = "Project"
_TABS_AT_MOST: Final = 100
_LONGEST_TAB: Final = 255
_TAB: Final = Parameter("name", "The name of the tab.", example="order", is_required=True)
NO_PROJECT: Final = "There is no such project."
Tabs = Annotated[list[str], Meta(max_length=100, description="a list of at most 100 texts")]


class NewProject(msgspec.Struct, frozen=True, kw_only=True):
    """A project to be created."""

    organization_id: ObjectId
    name: Name = ""
    delete_bot_data_enabled: bool = False
    promoted_tabs: Tabs = []


class ProjectChange(msgspec.Struct, frozen=True, kw_only=True):
    """The members of a project that can be changed; those left out stay as they are."""

    name: Name | UnsetType = UNSET
    delete_bot_data_enabled: bool | UnsetType = UNSET
    promoted_tabs: Tabs | UnsetType | None = UNSET


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


@documented(
    "Project",
    {201: Answer(ProjectView, headers=("Location",))},
    body=json_body(NewProject, {"organization_id": EXAMPLE_ID, "name": "Shop"}),
)
async def post_project(request: web.Request) -> web.Response:
    """Create a project; 201 once ingest accepts events for it."""
    api, wanted = request.app[API], await read_body(request, NewProject, is_required=True)
    project = await make_project(api, request[IDENTITY], wanted)
    async with connected(api.pool) as connection:
        (view,) = await project_views(api, connection, [project])
    location = absolute_url(request, f"/api/v2/projects/{project.id.hex}")
    return json_response(view, HTTPStatus.CREATED, {hdrs.LOCATION: location})


@documented("Project", {200: Answer(ProjectView)}, body=json_body(ProjectChange, {"name": "Big shop"}))
async def patch_project(request: web.Request) -> web.Response:
    """Change a project."""
    api, change = request.app[API], await read_body(request, ProjectChange, is_required=True)
    async with connected(api.pool) as connection, connection.transaction():
        found = await reachable_project(
            connection, request[IDENTITY], request.match_info["id"], RowLock.CHANGE
        )
        # Members that the body leaves out stay as they are.
        project = found
        if change.name is not UNSET:
            project = replace(project, name=clean_name(_KIND, change.name))
        if change.promoted_tabs is not UNSET:
            project = replace(project, promoted_tabs=tuple(change.promoted_tabs or ()))
        if change.delete_bot_data_enabled is not UNSET:
            project = replace(project, delete_bot_data_enabled=change.delete_bot_data_enabled)
        if await has_project_named(connection, project.organization_id, project.name, but=project.id):
            raise name_taken(_KIND)
        if project != found:
            await change_project(connection, project, api.clock.now())
        (view,) = await project_views(api, connection, [project])
    return json_response(view)


@documented("Project", {200: Answer()}, parameters=(_TAB,), refusals=(BadRequest,))
async def post_promoted_tab(request: web.Request) -> web.Response:
    """Promote a tab: data with this name gets a tab of its own on event pages."""

    def change(tabs: tuple[str, ...], name: str) -> tuple[str, ...]:
        if name not in tabs and len(tabs) >= _TABS_AT_MOST:
            raise BadRequest(f"A project can have at most {_TABS_AT_MOST} promoted tabs.")
        return tabs if name in tabs else (*tabs, name)

    return await _change_tabs(request, change)


@documented("Project", {200: Answer()}, parameters=(_TAB,), refusals=(BadRequest,))
async def delete_promoted_tab(request: web.Request) -> web.Response:
    """Demote a tab; 200 also if it was not promoted."""
    return await _change_tabs(request, lambda tabs, name: tuple(tab for tab in tabs if tab != name))


async def _change_tabs(
    request: web.Request, change: Callable[[tuple[str, ...], str], tuple[str, ...]]
) -> web.Response:
    api, name = request.app[API], query_parameters(request).get("name", "").strip()
    if not name or len(name) > _LONGEST_TAB:
        raise BadRequest("Invalid tab name.")
    async with connected(api.pool) as connection, connection.transaction():
        project = await reachable_project(
            connection, request[IDENTITY], request.match_info["id"], RowLock.CHANGE
        )
        tabs = change(tuple(project.promoted_tabs), name)
        if tabs != tuple(project.promoted_tabs):
            await change_project(connection, replace(project, promoted_tabs=tabs), api.clock.now())
    return web.Response()


@documented("Project", {202: Answer(Deleting)})
async def post_data_reset(request: web.Request) -> web.Response:
    """Delete all present events and stacks of a project; a worker removes them. Settings and tokens stay."""
    api = request.app[API]
    async with connected(api.pool) as connection, connection.transaction():
        project = await reachable_project(
            connection, request[IDENTITY], request.match_info["id"], RowLock.KEEP
        )
        await ask_for_removal(connection, [(project.id, None)], api.clock.now())
    return json_response(Deleting(), HTTPStatus.ACCEPTED)


@documented("Project", DELETED)
async def delete_projects(request: web.Request) -> web.Response:
    """Delete projects; 202 once ingest refuses their tokens. A worker then removes their events."""
    api, asked, result = request.app[API], asked_ids(request), BulkResult()
    ids = []
    async with connected(api.pool) as connection:
        for text in asked:
            project = await named_project(connection, request[IDENTITY], text)
            if project is None:
                result.add_not_found(text, "There is no such project.")
            else:
                result.success.append(text)
                ids.append(project.id)
        gone = await delete_from_database(connection, ids)
    # After the commit: ingest must not refuse the tokens of a project that a rollback keeps.
    await publish_deletions(api, gone)
    return bulk_response(result)


@documented(
    "Project",
    {201: Answer(description="The name is taken."), 204: Answer(description="The name is free.")},
    parameters=(Parameter("name", "The name to check.", is_required=True),),
)
async def get_name_check(request: web.Request) -> web.Response:
    """Check whether a project of the organization has this name: 201 if one has, 204 if the name is free."""
    name = query_parameters(request).get("name", "").strip()
    async with connected(request.app[API].pool) as connection:
        organization = await reachable_organization(
            connection, request[IDENTITY], request.match_info["organizationId"]
        )
        is_taken = not name or await has_project_named(connection, organization.id, name)
    return web.Response(status=HTTPStatus.CREATED if is_taken else HTTPStatus.NO_CONTENT)


async def reachable_project(
    connection: asyncpg.Connection, identity: Identity, project_id: str, lock: RowLock = RowLock.NONE
) -> Project:
    """The project with this id. Raises NotFound, also if it is another organization's."""
    project = await named_project(connection, identity, project_id, lock)
    if project is None:
        raise NotFound(NO_PROJECT)
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
    # Other requests run while a query of the next projects is awaited.
    for first in range(0, len(projects), _PROJECTS_PER_QUERY):
        usage = await project_usage(connection, ids[first : first + _PROJECTS_PER_QUERY], now)
        for project in projects[first : first + _PROJECTS_PER_QUERY]:
            counted, own_usage = statistics.get(project.id, NOTHING), usage.get(project.id, NO_USAGE)
            view = ProjectView(
                id=project.id.hex,
                created_utc=project.created_utc,
                organization_id=project.organization_id.hex,
                organization_name=project.organization_name,
                name=project.name,
                delete_bot_data_enabled=project.delete_bot_data_enabled,
                promoted_tabs=project.promoted_tabs,
                stack_count=counted.stacks,
                event_count=counted.events,
                usage_hours=hourly(own_usage, now),
                usage=monthly(own_usage, project.monthly_event_limit, now),
            )
            views.append(view)
    return views


async def _list(request: web.Request, organization_ids: Sequence[UUID]) -> web.Response:
    api, parameters = request.app[API], query_parameters(request)
    page = requested_page(parameters, maximum=_MAXIMUM_LIMIT)
    order = _ORDERS.get(parameters.get("sort", "").strip().lower())
    if order is None:
        raise BadRequest(f"The parameter `sort` must be one of {', '.join(filter(None, _ORDERS))}.")
    selection = organization_ids, parse_narrowing(request, parameters, PROJECT_FIELDS)
    async with looking_up(request) as connection:
        total = await count_projects(connection, *selection)
        found = await read_page(page, partial(list_projects, connection, *selection, order=order))
        views = await project_views(api, connection, found, with_statistics=wants_statistics(parameters))
    return counted_list_response(request, views, page, total)


async def make_project(api: Api, identity: Identity, wanted: NewProject) -> Project:
    """Create a project and publish it to ingest."""
    name, project_id = clean_name(_KIND, wanted.name), api.new_id()
    async with connected(api.pool) as connection, connection.transaction():
        organization = await named_organization(connection, identity, wanted.organization_id, RowLock.CHANGE)
        if organization is None:
            raise BadRequest("Invalid organization.")
        if await has_project_named(connection, organization.id, name):
            raise name_taken(_KIND)
        if await count_projects_of(connection, organization.id) >= PROJECTS_AT_MOST:
            raise BadRequest(f"An organization can have at most {PROJECTS_AT_MOST} projects.")
        await add_project(
            connection,
            project_id,
            organization.id,
            name,
            delete_bot_data_enabled=wanted.delete_bot_data_enabled,
            promoted_tabs=wanted.promoted_tabs,
        )
    await publish_new_project(api, project_id)
    async with connected(api.pool) as connection:
        project = await named_project(connection, identity, project_id.hex)
    if project is None:  # deleted with its organization meanwhile
        raise BadRequest("Invalid organization.")
    return project


ROUTES: Final = (
    Route("GET", "/projects", get_projects, Role.USER),
    Route(
        "GET", "/organizations/{organizationId:objectid}/projects", get_projects_of_organization, Role.USER
    ),
    Route("GET", "/projects/{id:objectid}", get_project, Role.USER),
    Route("POST", "/projects", post_project, Role.USER),
    Route("PATCH", "/projects/{id:objectid}", patch_project, Role.USER),
    Route("PUT", "/projects/{id:objectid}", patch_project, Role.USER),
    Route("DELETE", "/projects/{ids:objectids}", delete_projects, Role.USER),
    Route("POST", "/projects/{id:objectid}/reset-data", post_data_reset, Role.USER),
    Route("PUT", "/projects/{id:objectid}/promotedtabs", post_promoted_tab, Role.USER),
    Route("POST", "/projects/{id:objectid}/promotedtabs", post_promoted_tab, Role.USER),
    Route("DELETE", "/projects/{id:objectid}/promotedtabs", delete_promoted_tab, Role.USER),
    Route(
        "GET",
        "/organizations/{organizationId:objectid}/projects/check-name",
        get_name_check,
        Role.USER,
    ),
)

"""Creating, changing and deleting projects (contract 6). Deletion takes effect immediately."""

from dataclasses import replace
from http import HTTPStatus
from typing import Annotated, Final

import msgspec
from aiohttp import hdrs, web
from msgspec import UNSET, Meta, UnsetType

from collector.api.auth.authentication import IDENTITY, Identity
from collector.api.core.absolute_urls import absolute_url
from collector.api.core.deletion import DELETED, BulkResult, asked_ids, bulk_response
from collector.api.core.names import Name, clean_name, name_taken
from collector.api.core.projection_updates import publish_deletions, publish_new_project
from collector.api.core.route import Role, Route
from collector.api.core.service import API, Api
from collector.api.manage.organizations import named_organization, reachable_organization
from collector.api.manage.projects import ProjectView, named_project, project_views, reachable_project
from collector.api.request.parameters import query_parameters
from collector.api.request.request_body import EXAMPLE_ID, ObjectId, read_body
from collector.database.owners.deletion import delete_projects as delete_from_database
from collector.database.owners.projects import Project, add_project, change_project, has_project_named
from collector.database.pool import connected
from collector.database.row_lock import RowLock
from collector.domain.errors import BadRequest
from collector.http.operation import Answer, Parameter, documented, json_body
from collector.http.responses import json_response

_KIND: Final = "Project"

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


async def make_project(api: Api, identity: Identity, wanted: NewProject) -> Project:
    """Create a project and publish it to ingest."""
    name, project_id = clean_name(_KIND, wanted.name), api.new_id()
    async with connected(api.pool) as connection, connection.transaction():
        organization = await named_organization(connection, identity, wanted.organization_id, RowLock.CHANGE)
        if organization is None:
            raise BadRequest("Invalid organization.")
        if await has_project_named(connection, organization.id, name):
            raise name_taken(_KIND)
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


@documented("Project", {200: Answer(ProjectView)}, body=json_body(ProjectChange, {"name": "Big shop"}))
async def patch_project(request: web.Request) -> web.Response:
    """Change a project."""
    api, change = request.app[API], await read_body(request, ProjectChange, is_required=True)
    async with connected(api.pool) as connection, connection.transaction():
        found = await reachable_project(
            connection, request[IDENTITY], request.match_info["id"], RowLock.CHANGE
        )
        project = _changed(found, change)
        if await has_project_named(connection, project.organization_id, project.name, but=project.id):
            raise name_taken(_KIND)
        if project != found:
            await change_project(connection, project, api.clock.now())
        (view,) = await project_views(api, connection, [project])
    return json_response(view)


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


def _changed(project: Project, change: ProjectChange) -> Project:
    name, tabs = change.name, change.promoted_tabs
    if name is not UNSET:
        project = replace(project, name=clean_name(_KIND, name))
    if tabs is not UNSET:
        project = replace(project, promoted_tabs=tuple(tabs or ()))
    if change.delete_bot_data_enabled is not UNSET:
        project = replace(project, delete_bot_data_enabled=change.delete_bot_data_enabled)
    return project


ROUTES: Final = (
    Route("POST", "/projects", post_project, Role.USER),
    Route("PATCH", "/projects/{id:objectid}", patch_project, Role.USER),
    Route("PUT", "/projects/{id:objectid}", patch_project, Role.USER),
    Route("DELETE", "/projects/{ids:objectids}", delete_projects, Role.USER),
    Route(
        "GET",
        "/organizations/{organizationId:objectid}/projects/check-name",
        get_name_check,
        Role.USER,
    ),
)

"""Routes that show and change a project's client configuration; clients read it from ingest (contract 6)."""

from typing import Annotated, Final

import msgspec
from aiohttp import web
from msgspec import Meta

from collector.api.auth.authentication import IDENTITY
from collector.api.core.projection_updates import publish_settings
from collector.api.core.route import Role, Route
from collector.api.core.service import API
from collector.api.manage.projects import NO_PROJECT, reachable_project
from collector.api.request.parameters import query_parameters
from collector.api.request.request_body import read_body
from collector.database.owners.client_settings import (
    BYTES_AT_MOST,
    ORGANIZATION_BYTES_AT_MOST,
    SETTINGS_AT_MOST,
    put_setting,
    read_settings,
    remove_setting,
)
from collector.database.pool import connected
from collector.database.row_lock import RowLock
from collector.domain.errors import BadRequest, NotFound
from collector.http.operation import Answer, Parameter, documented, json_body
from collector.http.responses import json_response

MAXIMUM_KEY_LENGTH: Final = 255
MAXIMUM_VALUE_LENGTH: Final = 10_000

_KEY: Final = Parameter("key", "The name of the setting.", example="@@DataExclusions", is_required=True)


class NewSetting(msgspec.Struct, frozen=True):
    """The value of a setting."""

    value: Annotated[str, Meta(description="a text")] = ""


class SettingsView(msgspec.Struct, frozen=True, kw_only=True):
    """The client configuration as clients get it."""

    version: int
    settings: dict[str, str]


@documented("Project", {200: Answer(SettingsView)})
async def get_settings(request: web.Request) -> web.Response:
    """Show the client configuration, as `GET /projects/{id}/config` of ingest does to clients."""
    async with connected(request.app[API].pool) as connection:
        project = await reachable_project(connection, request[IDENTITY], request.match_info["id"])
        entry = await read_settings(connection, project.id)
    if entry is None:  # deleted meanwhile
        raise NotFound(NO_PROJECT)
    return json_response(SettingsView(version=entry.config_version, settings=entry.settings))


@documented(
    "Project",
    {200: Answer()},
    body=json_body(NewSetting, {"value": "password, *secret*"}),
    parameters=(_KEY,),
)
async def post_setting(request: web.Request) -> web.Response:
    """Set one setting of the client configuration.

    200 once ingest has the new configuration. 503 means stored, but not yet published to ingest.
    """
    api, identity = request.app[API], request[IDENTITY]
    key, value = _key(request), (await read_body(request, NewSetting)).value.strip()
    if not value or len(value) > MAXIMUM_VALUE_LENGTH:
        raise BadRequest(f"The value must have 1 to {MAXIMUM_VALUE_LENGTH} characters.")
    async with connected(api.pool) as connection, connection.transaction():
        # Without the lock, a project deleted meanwhile would look like one with too many settings.
        project = await reachable_project(connection, identity, request.match_info["id"], RowLock.CHANGE)
        if not await put_setting(connection, project.id, key, value):
            raise BadRequest(
                f"A project can have at most {SETTINGS_AT_MOST} settings of {BYTES_AT_MOST} bytes in total,"
                f" and all projects of an organization {ORGANIZATION_BYTES_AT_MOST} bytes."
            )
    await publish_settings(api, project.id)
    return web.Response()


@documented("Project", {200: Answer()}, parameters=(_KEY,))
async def delete_setting(request: web.Request) -> web.Response:
    """Remove one setting of the client configuration.

    200 also if there was no such setting, so that repeating the request after a 503 publishes the removal.
    """
    api, identity = request.app[API], request[IDENTITY]
    key = _key(request)
    async with connected(api.pool) as connection:
        project = await reachable_project(connection, identity, request.match_info["id"])
        await remove_setting(connection, project.id, key)
    await publish_settings(api, project.id)
    return web.Response()


def _key(request: web.Request) -> str:
    key = query_parameters(request).get("key", "").strip()
    if not key or len(key) > MAXIMUM_KEY_LENGTH:
        raise BadRequest(f"The parameter `key` must have 1 to {MAXIMUM_KEY_LENGTH} characters.")
    return key


ROUTES: Final = (
    Route("GET", "/projects/{id:objectid}/client-settings", get_settings, Role.USER),
    Route("POST", "/projects/{id:objectid}/config", post_setting, Role.USER),
    Route("DELETE", "/projects/{id:objectid}/config", delete_setting, Role.USER),
)

"""`GET about` and the system notification (contract 6). The host name is left out: it is in the logs."""

from functools import cache
from http import HTTPStatus
from importlib.metadata import version
from typing import Final

import msgspec
from aiohttp import web

from collector.api.core.route import Role, Route
from collector.http.operation import Answer, documented
from collector.http.responses import json_response


class AboutView(msgspec.Struct, frozen=True):
    """The version, and the mode in the official server's terms."""

    informational_version: str
    app_mode: str = "Production"
    app_scope: str = ""


@documented("Status", {200: Answer(AboutView)})
async def get_about(_request: web.Request) -> web.Response:
    """Show the version of the server; open to anyone."""
    return json_response(AboutView(_version()))


@documented("Status", {204: Answer(description="There is no notification.")})
async def get_system_notification(_request: web.Request) -> web.Response:
    """Show the operator's notification to all users; this server has none, so the answer is always 204."""
    return web.Response(status=HTTPStatus.NO_CONTENT)


@cache  # reads the package's metadata from the disk
def _version() -> str:
    return version("headrace")


ROUTES: Final = (
    Route("GET", "/about", get_about, Role.ANYONE),
    Route("GET", "/notifications/system", get_system_notification, Role.USER),
)

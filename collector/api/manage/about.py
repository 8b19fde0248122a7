"""What runs here, and whether there is anything to tell everybody (contract 6).

The name of the machine is not told: whoever may know it sees it in the logs.
"""

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
    """The version, and how the official server would call the way that it runs."""

    informational_version: str
    app_mode: str = "Production"
    app_scope: str = ""


@documented("Status", {200: Answer(AboutView)})
async def get_about(_request: web.Request) -> web.Response:
    """Which version this is; for anyone."""
    return json_response(AboutView(_version()))


@documented("Status", {204: Answer(description="There is nothing to tell.")})
async def get_system_notification(_request: web.Request) -> web.Response:
    """What everybody should be told by the operator: never anything here, so always 204."""
    return web.Response(status=HTTPStatus.NO_CONTENT)


@cache
def _version() -> str:
    """Read from the disk once."""
    return version("headrace")


ROUTES: Final = (
    Route("GET", "/about", get_about, Role.ANYONE),
    Route("GET", "/notifications/system", get_system_notification, Role.USER),
)

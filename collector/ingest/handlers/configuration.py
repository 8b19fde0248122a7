"""GET config: the settings of a project's clients, read from the token projection (contract 6)."""

from collections.abc import Mapping
from typing import Final

import msgspec
from aiohttp import hdrs, web

from collector.domain.project.client_settings import parse_config_version
from collector.http.operation import Answer, Parameter, documented
from collector.http.responses import json_response
from collector.ingest.guard import ingest_errors
from collector.ingest.handlers.paths import ID
from collector.ingest.post_headers import CONFIG_VERSION_HEADERS, config_version_header
from collector.ingest.senders.auth import authenticate, find_own_target, find_readable_target
from collector.ingest.services import INGEST


class Configuration(msgspec.Struct, frozen=True):
    """A project's client settings and their version."""

    version: int
    settings: Mapping[str, str]


@documented(
    "Project",
    {
        200: Answer(Configuration, headers=CONFIG_VERSION_HEADERS),
        304: Answer(description="The client has the current version already."),
    },
    parameters=(Parameter("v", "The version that the client has.", int),),
)
@ingest_errors
async def get_config(request: web.Request) -> web.StreamResponse:
    """The project's settings and their version; 304 for a client that has that version."""
    ingest = request.app[INGEST]
    token = await authenticate(request, ingest.cache, ingest.clock, ingest.failed_lookups)
    if (named := request.match_info.get("id")) is not None:
        target = await find_readable_target(token, named, ingest.cache)
    else:
        target = await find_own_target(token, ingest.cache)
    headers: dict[str, str] = {hdrs.CACHE_CONTROL: "no-store"}
    version_sent = next((text for name, text in request.query.items() if name.lower() == "v"), None)
    if parse_config_version(version_sent) == target.config_version:
        return web.Response(status=304, headers=headers)
    headers |= config_version_header(request, target.config_version)
    return json_response(Configuration(target.config_version, target.settings), headers=headers)


ROUTES: Final = [
    web.get("/api/v2/projects/config", get_config),
    web.get(f"/api/v2/projects/{ID}/config", get_config),
    web.get("/api/v1/project/config", get_config),
]

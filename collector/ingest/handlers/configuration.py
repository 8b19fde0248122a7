"""GET config: the settings that clients obey, from the token projection alone (contract 6)."""

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
from collector.ingest.senders.auth import own_target_of, readable_target_of, token_of
from collector.ingest.services import DOOR


class Configuration(msgspec.Struct, frozen=True):
    """A project's settings, and which version of them."""

    version: int
    settings: Mapping[str, str]


@documented(
    "Project",
    {
        200: Answer(Configuration, headers=CONFIG_VERSION_HEADERS),
        304: Answer(description="The client has that version already."),
    },
    parameters=(Parameter("v", "The version that the client has.", int),),
)
@ingest_errors
async def get_config(request: web.Request) -> web.StreamResponse:
    """The project's settings and their version; 304 for a client that has exactly that one."""
    ingest = request.app[DOOR]
    token = await token_of(request, ingest.cache, ingest.clock, ingest.failed_lookups)
    if (named := request.match_info.get("id")) is not None:
        target = await readable_target_of(token, named, ingest.cache)
    else:
        target = await own_target_of(token, ingest.cache)
    headers: dict[str, str] = {hdrs.CACHE_CONTROL: "no-store"}
    if parse_config_version(_version_sent(request)) == target.config_version:
        return web.Response(status=304, headers=headers)
    headers |= config_version_header(request, target.config_version)
    return json_response(Configuration(target.config_version, target.settings), headers=headers)


def _version_sent(request: web.Request) -> str | None:
    return next((text for name, text in request.query.items() if name.lower() == "v"), None)


ROUTES: Final = [
    web.get("/api/v2/projects/config", get_config),
    web.get(f"/api/v2/projects/{ID}/config", get_config),
    web.get("/api/v1/project/config", get_config),
]

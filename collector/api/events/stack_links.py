"""The links of a stack, and promoting it (contract 9)."""

from http import HTTPStatus
from typing import Annotated, Final

import msgspec
from aiohttp import web
from msgspec import Meta

from collector.api.core.route import Role, Route
from collector.api.core.service import API
from collector.api.events.stacks import stack_in_path
from collector.api.request.request_body import read_body
from collector.database.pool import connected
from collector.database.search.stack_links import LINKS_AT_MOST, add_link, remove_link
from collector.domain.errors import BadRequest, NotSupported
from collector.http.operation import Answer, documented, json_body

_EXAMPLE: Final = {"value": "https://tickets.example.com/4711"}


class Link(msgspec.Struct, frozen=True):
    """The address of a link."""

    value: Annotated[str, Meta(max_length=2000, description="a text of at most 2000 characters")] = ""


@documented("Stack", {200: Answer()}, body=json_body(Link, _EXAMPLE), refusals=(BadRequest,))
async def post_added_link(request: web.Request) -> web.Response:
    """Add a link to a stack: to a ticket, a pull request, a chat."""
    link, now = await _link(request), request.app[API].clock.now()
    async with connected(request.app[API].pool) as connection:
        stack = await stack_in_path(request, connection)
        if not await add_link(connection, stack.id, link, now):
            raise BadRequest(f"A stack can have at most {LINKS_AT_MOST} links.")
    return web.Response()


@documented("Stack", {204: Answer()}, body=json_body(Link, _EXAMPLE), refusals=(BadRequest,))
async def post_removed_link(request: web.Request) -> web.Response:
    """Remove a link from a stack; 204 also if it had no such link."""
    link, now = await _link(request), request.app[API].clock.now()
    async with connected(request.app[API].pool) as connection:
        stack = await stack_in_path(request, connection)
        await remove_link(connection, stack.id, link, now)
    return web.Response(status=HTTPStatus.NO_CONTENT)


@documented("Stack", {}, refusals=(NotSupported,))
async def post_promotion(request: web.Request) -> web.Response:
    """Promote a stack to another system; always 501, since there are no webhooks."""
    async with connected(request.app[API].pool) as connection:
        await stack_in_path(request, connection)
    raise NotSupported("No promoted web hooks are configured for this project.")


async def _link(request: web.Request) -> str:
    link = (await read_body(request, Link, is_required=True)).value.strip()
    if not link:
        raise BadRequest("Invalid reference link.")
    return link


ROUTES: Final = (
    Route("POST", "/stacks/{id:objectid}/add-link", post_added_link, Role.USER),
    Route("POST", "/stacks/{id:objectid}/remove-link", post_removed_link, Role.USER),
    Route("POST", "/stacks/{id:objectid}/promote", post_promotion, Role.USER),
)

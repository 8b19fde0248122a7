"""POST /api/v2/events: know the sender, queue the body as it came, answer 202."""

import functools
from collections.abc import Awaitable, Callable

import structlog
from aiohttp import hdrs, web

from collector.domain.errors import Refusal, Unavailable
from collector.ingest.auth import refuse_suspended, target_of, token_of
from collector.ingest.direct import PATH, post_of
from collector.ingest.door import DOOR
from collector.ingest.post_headers import CONFIG_VERSION_HEADER
from collector.ingest.request_body import check_content, check_length, read_body

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_log = structlog.get_logger()


def add_routes(app: web.Application) -> None:
    """Add the door's routes."""
    project = r"/api/v2/projects/{project_id:[a-zA-Z0-9]{24,36}}"
    app.router.add_post(PATH, post_events)
    app.router.add_post(f"{project}/events", post_events)


def at_the_door(handler: Handler) -> Handler:
    """Count refusals, and answer 503 to whatever goes wrong on our side.

    Clients throw events away on most other codes.
    """

    @functools.wraps(handler)
    async def guarded(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except Refusal as refusal:
            request.app[DOOR].count_refusal(refusal)
            raise
        except Exception as error:
            _log.exception("post failed", path=request.path)
            surprise = Unavailable("Something went wrong on our side; please repeat the post.")
            request.app[DOOR].count_refusal(surprise)
            raise surprise from error

    return guarded


@at_the_door
async def post_events(request: web.Request) -> web.StreamResponse:
    """Queue one post. 202 means it is on the queue's disk, not yet in Postgres."""
    door = request.app[DOOR]
    check = door.senders.begin_check()
    token = await token_of(request, door.cache, door.clock)
    if door.settings.submission_disabled:
        raise Unavailable("This server takes no events at the moment.")
    door.backpressure.check()
    check_length(request, door.settings.body_limit_bytes)
    await refuse_suspended(token, door.cache)
    check_content(request)
    target = await target_of(token, request.match_info.get("project_id"), door.cache)
    if request.path == PATH and not request.query_string:
        door.senders.remember(request.headers.get(hdrs.AUTHORIZATION, ""), token, target, check)
    body = await read_body(request, door.settings.body_limit_bytes)
    if door.cache.evictions != check.evictions:
        # A token that was revoked while its body came in is refused all the same.
        token = await token_of(request, door.cache, door.clock)
        target = await target_of(token, request.match_info.get("project_id"), door.cache)
    if body:
        await door.queue.append(post_of(request, door, target, body))
    return web.Response(status=202, headers={CONFIG_VERSION_HEADER: str(target.config_version)})

"""The event stream (server-sent events): sends open pages how many events were stored.

A page fetches the events themselves as lists. So a stream costs the same whether ten or ten thousand events
arrive in a second.
"""

import asyncio
from typing import Any, Final

import orjson
from aiohttp import hdrs, web

from collector.api.auth.authentication import IDENTITY, throttle_key
from collector.api.core.route import Role, Route
from collector.api.core.service import API
from collector.api.events.event_selection import select_projects
from collector.database.pool import connected
from collector.database.search.event_lists import Selection
from collector.domain.dates.datemath import LocalClock
from collector.domain.dates.time_range import TimeRange
from collector.domain.errors import OrganizationSuspended, TooManyRequests
from collector.domain.filter.tree import Everything
from collector.http.connection.bounds import cancel_on_disconnect
from collector.http.operation import Answer, documented

_LONGEST_SECONDS: Final = 300.0
"""Then the browser connects again, which checks the login again."""
_QUIET_SECONDS: Final = 15.0
"""A comment after so long keeps proxies from closing the connection."""
_BETWEEN_SECONDS: Final = 0.5
_HEADERS: Final = {
    hdrs.CONTENT_TYPE: "text/event-stream",
    hdrs.CACHE_CONTROL: "no-store",
    "X-Accel-Buffering": "no",
}


@documented(
    "Event",
    {200: Answer(str, media_type="text/event-stream")},
    refusals=(OrganizationSuspended, TooManyRequests),
)
async def get_stream(request: web.Request) -> web.StreamResponse:
    """Stream how many events are stored, as server-sent events: `event: events`, `data: {"count": 37}`.

    The count is of all events, whatever a page filters by. From the first line on none is missed. It ends
    after five minutes, or when Redis is lost; connect again then.
    """
    api = request.app[API]
    nothing = Selection((), Everything(), TimeRange(), LocalClock(api.clock.now()))
    async with connected(api.pool) as connection:
        projects = (await select_projects(request, connection, nothing)).project_ids
    await api.live.until_followed()
    with (
        api.live.listener(throttle_key(request[IDENTITY]), projects) as listener,
        cancel_on_disconnect(request),
    ):
        response = web.StreamResponse(headers=_HEADERS)
        await response.prepare(request)
        await response.write(b"retry: 3000\n\n")
        ends = api.clock.monotonic() + _LONGEST_SECONDS
        while api.clock.monotonic() < ends and not listener.is_closed:
            if count := await listener.take(_QUIET_SECONDS):
                await response.write(b"event: events\ndata: %s\n\n" % orjson.dumps({"count": count}))
                await asyncio.sleep(_BETWEEN_SECONDS)
            else:
                await response.write(b":\n\n")
    return response


async def end_streams(app: web.Application) -> Any:
    """End all streams when the process is asked to stop."""
    app[API].live.close()


ROUTES: Final = (
    Route("GET", "/events/stream", get_stream, Role.USER),
    Route("GET", "/organizations/{organizationId:objectid}/events/stream", get_stream, Role.USER),
    Route("GET", "/projects/{projectId:objectid}/events/stream", get_stream, Role.USER),
)

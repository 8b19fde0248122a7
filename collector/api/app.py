"""The routes of the api, on an application that it may share with ingest.

Every request is measured, then authenticated, then handled.
"""

import asyncio
import functools
from http import HTTPStatus
from typing import Final

import structlog
from aiohttp import hdrs, web

from collector.api.auth import login, logins, password_change, sign_up, users
from collector.api.auth.authentication import IDENTITY, admit, throttle_key
from collector.api.core.route import Handler, Route
from collector.api.core.service import API, Api
from collector.api.events import (
    dead_letters,
    event_counts,
    event_lists,
    events,
    overview,
    search,
    stack_bulk,
    stack_links,
    stack_lists,
    stack_marks,
    stacks,
    stream,
    trace,
)
from collector.api.manage import (
    about,
    client_settings,
    members,
    organizations,
    projects,
    tokens,
)
from collector.database.errors import DatabaseUnavailable, QueryTooSlow
from collector.domain.errors import Refusal, Unavailable
from collector.http.errors import STATUS

ROUTES: Final = (
    *login.ROUTES,
    *sign_up.ROUTES,
    *password_change.ROUTES,
    *users.ROUTES,
    *logins.ROUTES,
    *organizations.ROUTES,
    *members.ROUTES,
    *projects.ROUTES,
    *client_settings.ROUTES,
    *tokens.ROUTES,
    *event_lists.ROUTES,
    *event_counts.ROUTES,
    *search.ROUTES,
    *events.ROUTES,
    *stack_lists.ROUTES,
    *stacks.ROUTES,
    *stack_marks.ROUTES,
    *stack_links.ROUTES,
    *stack_bulk.ROUTES,
    *about.ROUTES,
    *trace.ROUTES,
    *overview.ROUTES,
    *dead_letters.ROUTES,
    *stream.ROUTES,
)
"""Every route of the api."""

_log = structlog.get_logger()

_CLIENT_CLOSED_REQUEST: Final = 499
"""The status that the metrics count when the client has disconnected before the answer."""
_TOO_SLOW: Final = "This takes too long to find out; please ask about a shorter time or with another filter."


def add_api(app: web.Application, api: Api) -> None:
    """Serve the routes of the api on the application."""
    app[API] = api
    app.on_shutdown.append(stream.end_streams)
    for route in ROUTES:
        handler = _measured(route)
        if route.method == hdrs.METH_GET:
            app.router.add_get(route.pattern, handler)  # which answers HEAD, too
        else:
            app.router.add_route(route.method, route.pattern, handler)


def _measured(route: Route) -> Handler:
    """Time and count the answers by the route's template, never by the path that a client wrote."""
    name = f"{route.method} {route.template}"

    @functools.wraps(route.handler)
    async def measured(request: web.Request) -> web.StreamResponse:
        api, status = request.app[API], int(HTTPStatus.INTERNAL_SERVER_ERROR)
        started = api.clock.monotonic()
        # Every way out has a status, so that no request is missing in the metrics.
        try:
            response = await _answer(route, request)
            status = response.status
        except Refusal as refusal:
            status = int(STATUS[type(refusal)])
            raise
        except web.HTTPException as error:
            status = error.status
            raise
        except asyncio.CancelledError:
            status = _CLIENT_CLOSED_REQUEST
            raise
        finally:
            api.metrics.requests.labels(status).inc()
            api.metrics.request_seconds.labels(name).observe(api.clock.monotonic() - started)
        return response

    return measured


async def _answer(route: Route, request: web.Request) -> web.StreamResponse:
    """Authenticate, then handle; an outage of Postgres and a query that takes too long become 503."""
    try:
        await admit(request, route.role)
        return await route.handler(request)
    except QueryTooSlow as error:
        request.app[API].metrics.searches_ended.labels("too_slow").inc()
        who = throttle_key(request[IDENTITY]) if IDENTITY in request else ""
        _log.warning("a search was stopped", route=route.template, who=who, cause=str(error))
        raise Unavailable(_TOO_SLOW) from error
    except DatabaseUnavailable as error:
        raise Unavailable("The database is unavailable right now; please try again.") from error

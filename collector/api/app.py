"""The api as routes on an application that it may share with ingest.

Every route goes the same way: measured, then whoever calls it admitted, then its handler.
"""

import asyncio
import functools
from http import HTTPStatus
from typing import Final

from aiohttp import hdrs, web

from collector.api.auth import login, password_change, sign_up, users
from collector.api.auth.authentication import admit
from collector.api.core.route import Handler, Route
from collector.api.core.service import API, Api
from collector.api.events import (
    event_counts,
    event_lists,
    events,
    search,
    stack_lists,
    stack_marks,
    stacks,
    trace,
)
from collector.api.manage import (
    about,
    client_settings,
    members,
    new_tokens,
    organization_changes,
    organizations,
    project_changes,
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
    *organizations.ROUTES,
    *organization_changes.ROUTES,
    *members.ROUTES,
    *projects.ROUTES,
    *project_changes.ROUTES,
    *client_settings.ROUTES,
    *new_tokens.ROUTES,
    *tokens.ROUTES,
    *event_lists.ROUTES,
    *event_counts.ROUTES,
    *search.ROUTES,
    *events.ROUTES,
    *stack_lists.ROUTES,
    *stacks.ROUTES,
    *stack_marks.ROUTES,
    *about.ROUTES,
    *trace.ROUTES,
)
"""Everything that the api does."""

_LEFT: Final = 499
"""What is counted where nobody waited for the answer any more."""
_TOO_SLOW: Final = "This takes too long to find out; please ask about a shorter time or with another filter."


def add_api(app: web.Application, api: Api) -> None:
    """Serve reading and managing on the application."""
    app[API] = api
    for route in ROUTES:
        handler = _measured(route, _available(_admitted(route)))
        if route.method == hdrs.METH_GET:
            app.router.add_get(route.pattern, handler)  # which answers HEAD, too
        else:
            app.router.add_route(route.method, route.pattern, handler)


def _admitted(route: Route) -> Handler:
    """Know who calls before anything else is looked at."""

    @functools.wraps(route.handler)
    async def admitted(request: web.Request) -> web.StreamResponse:
        await admit(request, route.role)
        return await route.handler(request)

    return admitted


def _available(handler: Handler) -> Handler:
    """An outage of Postgres is 503, and so is a query that was stopped because it took too long."""

    @functools.wraps(handler)
    async def available(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except QueryTooSlow as error:
            raise Unavailable(_TOO_SLOW) from error
        except DatabaseUnavailable as error:
            raise Unavailable("The store cannot answer right now; please repeat it.") from error

    return available


def _measured(route: Route, handler: Handler) -> Handler:
    """Time and count what the handler answers, by the route's template: never by what a client wrote."""
    name = f"{route.method} {route.template}"

    @functools.wraps(handler)
    async def measured(request: web.Request) -> web.StreamResponse:
        api, status = request.app[API], int(HTTPStatus.INTERNAL_SERVER_ERROR)
        started = api.clock.monotonic()
        try:
            response = await handler(request)
            status = response.status
        except Refusal as refusal:
            status = int(STATUS[type(refusal)])
            raise
        except web.HTTPException as error:
            status = error.status
            raise
        except asyncio.CancelledError:
            status = _LEFT
            raise
        finally:
            api.metrics.requests.labels(status).inc()
            api.metrics.request_seconds.labels(name).observe(api.clock.monotonic() - started)
        return response

    return measured

"""The api as routes on an application that it may share with the door.

A path that breaks a constraint below is no route at all: 404, as the contract has it.
"""

import functools
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

from aiohttp import web

from collector.api import client_settings, events, login, organizations, projects, stacks, tokens
from collector.api.service import API, Api
from collector.database.errors import DatabaseUnavailable
from collector.domain.errors import Refusal, Unavailable
from collector.http.errors import STATUS

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_V2: Final = "/api/v2"
_EVENT: Final = r"{event_id:[a-zA-Z0-9]{24,36}}"
_PROJECT: Final = r"{project_id:[a-zA-Z0-9]{24,36}}"
_REFERENCE: Final = r"{reference_id:[a-zA-Z0-9-]{8,100}}"
_STACK: Final = r"{stack_id:[a-zA-Z0-9]{24,36}}"
_STACKS: Final = r"{stack_ids:[a-zA-Z0-9]{24,36}(?:,[a-zA-Z0-9]{24,36})*}"
_TOKENS: Final = r"{token_ids:[a-zA-Z0-9-]{24,40}(?:,[a-zA-Z0-9-]{24,40})*}"


def add_api(app: web.Application, api: Api) -> None:
    """Serve reading and managing on the application."""
    app[API] = api
    app.add_routes(
        [
            web.post(f"{_V2}/auth/login", _observed(login.post_login)),
            web.get(f"{_V2}/organizations", _observed(organizations.get_organizations)),
            web.get(f"{_V2}/projects", _observed(projects.get_projects)),
            web.post(f"{_V2}/projects/{_PROJECT}/config", _observed(client_settings.post_setting)),
            web.delete(f"{_V2}/projects/{_PROJECT}/config", _observed(client_settings.delete_setting)),
            web.post(f"{_V2}/projects/{_PROJECT}/tokens", _observed(tokens.post_token)),
            web.delete(f"{_V2}/tokens/{_TOKENS}", _observed(tokens.delete_tokens)),
            web.get(f"{_V2}/events", _observed(events.get_events)),
            web.get(f"{_V2}/projects/{_PROJECT}/events", _observed(events.get_events)),
            web.get(f"{_V2}/events/by-ref/{_REFERENCE}", _observed(events.get_by_reference)),
            web.get(
                f"{_V2}/projects/{_PROJECT}/events/by-ref/{_REFERENCE}", _observed(events.get_by_reference)
            ),
            web.get(f"{_V2}/events/{_EVENT}", _observed(events.get_event)),
            web.get(f"{_V2}/stacks/{_STACK}", _observed(stacks.get_stack)),
            web.post(f"{_V2}/stacks/{_STACKS}/change-status", _observed(stacks.post_status)),
        ]
    )


def _observed(handler: _Handler) -> _Handler:
    """Time and count what the handler answers; an outage of Postgres is 503."""

    @functools.wraps(handler)
    async def observed(request: web.Request) -> web.StreamResponse:
        api, status = request.app[API], int(HTTPStatus.INTERNAL_SERVER_ERROR)
        started = api.clock.monotonic()
        try:
            response = await _available(handler, request)
            status = response.status
        except Refusal as refusal:
            status = int(STATUS[type(refusal)])
            raise
        except web.HTTPException as error:
            status = error.status
            raise
        finally:
            api.metrics.requests.labels(status).inc()
            seconds = api.clock.monotonic() - started
            api.metrics.request_seconds.labels(_template(request)).observe(seconds)
        return response

    return observed


async def _available(handler: _Handler, request: web.Request) -> web.StreamResponse:
    try:
        return await handler(request)
    except DatabaseUnavailable as error:
        raise Unavailable("The store cannot answer right now; please repeat it.") from error


def _template(request: web.Request) -> str:
    """`GET /api/v2/events/{event_id}`: never what a client wrote."""
    resource = request.match_info.route.resource
    return f"{request.method} {resource.canonical if resource else ''}"

"""The logins that a person has open, and ending one of them or all the others."""

from datetime import datetime
from http import HTTPStatus
from typing import Final

import msgspec
from aiohttp import web

from collector.api.auth.authentication import IDENTITY
from collector.api.auth.cookies import remove_cookie
from collector.api.core.projection_updates import revoke_at_ingest
from collector.api.core.route import Role, Route
from collector.api.core.service import API
from collector.database.owners.tokens import delete_login, delete_other_logins, list_logins
from collector.database.pool import connected
from collector.domain.errors import NotFound
from collector.http.operation import Answer, documented
from collector.http.responses import json_response

_SHOWN: Final = 100


class LoginView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One login; `user_agent` is what the browser or program called itself when it logged in."""

    id: str
    user_agent: str | None = None
    created_utc: datetime
    expires_utc: datetime | None = None
    is_current: bool


@documented("User", {200: Answer(list[LoginView])})
async def get_logins(request: web.Request) -> web.Response:
    """List your own logins that have not expired, newest first, at most 100."""
    api, identity = request.app[API], request[IDENTITY]
    async with connected(api.pool) as connection:
        logins = await list_logins(connection, identity.person, api.clock.now(), _SHOWN)
    return json_response(
        [
            LoginView(
                id=login.id,
                user_agent=login.notes,
                created_utc=login.created_utc,
                expires_utc=login.expires_utc,
                is_current=login.id == identity.login,
            )
            for login in logins
        ]
    )


@documented("User", {204: Answer(description="Only the login of this request is left.")})
async def delete_logins(request: web.Request) -> web.Response:
    """End all your other logins; with Basic credentials all of them. Access tokens stay.

    503 means ended, but not yet published to ingest.
    """
    api, identity = request.app[API], request[IDENTITY]
    async with connected(api.pool) as connection, connection.transaction():
        ended = await delete_other_logins(connection, identity.person, identity.login)
    await revoke_at_ingest(api, ended)
    return web.Response(status=HTTPStatus.NO_CONTENT)


@documented("User", {204: Answer(description="The login has ended.")}, refusals=(NotFound,))
async def delete_one_login(request: web.Request) -> web.Response:
    """End one of your own logins by its id; ending that of this request logs you out.

    503 means ended, but not yet published to ingest.
    """
    api, identity, lookup = request.app[API], request[IDENTITY], request.match_info["id"]
    async with connected(api.pool) as connection:
        if not await delete_login(connection, identity.person, lookup):
            raise NotFound("There is no such login.")
    await revoke_at_ingest(api, [lookup])
    response = web.Response(status=HTTPStatus.NO_CONTENT)
    if lookup == identity.login:
        remove_cookie(request, response)
    return response


ROUTES: Final = (
    Route("GET", "/users/me/logins", get_logins, Role.PERSON),
    Route("DELETE", "/users/me/logins", delete_logins, Role.PERSON),
    Route("DELETE", "/users/me/logins/{id:objectid}", delete_one_login, Role.PERSON),
)

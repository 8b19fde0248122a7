"""Logging in with an e-mail address and a password, and logging out (contract 1.3, 10 rows 4 and 21)."""

from typing import Annotated, Final

import msgspec
from aiohttp import hdrs, web
from msgspec import Meta

from collector.api.auth.attempts import LOGIN_FAILED, check_password
from collector.api.auth.authentication import IDENTITY
from collector.api.auth.cookies import (
    IN_COOKIE,
    USE_COOKIES,
    cookie_response,
    remove_cookie,
    wants_cookie,
)
from collector.api.core.projection_updates import publish_member, publish_new_token, revoke_at_ingest
from collector.api.core.route import Role, Route
from collector.api.core.service import API
from collector.api.request.request_body import read_body
from collector.database.owners.invitations import accept
from collector.database.owners.login_codes import use_login_code
from collector.database.owners.tokens import add_token, delete_old_logins, delete_tokens, login_token
from collector.database.owners.users import User, find_user_by_id, is_still_known
from collector.database.pool import connected
from collector.domain.access.password import MAXIMUM_LENGTH, MINIMUM_LENGTH
from collector.domain.access.token import new_token
from collector.domain.errors import Forbidden, Unauthenticated
from collector.http.operation import Answer, documented, json_body
from collector.http.responses import json_response

_EXAMPLE: Final = {"email": "admin@headrace.local", "password": "your password"}

Address = Annotated[str, Meta(pattern=r"\S", max_length=320, description="an e-mail address")]
Password = Annotated[
    str,
    Meta(
        min_length=MINIMUM_LENGTH,
        max_length=MAXIMUM_LENGTH,
        description=f"{MINIMUM_LENGTH} to {MAXIMUM_LENGTH} characters long",
    ),
]
InviteToken = Annotated[str, Meta(min_length=40, max_length=40, description="40 characters long")]


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """Credentials, and optionally an invitation to an organization."""

    email: Address
    password: Password
    invite_token: InviteToken | None = None


class LoginCode(msgspec.Struct, frozen=True, kw_only=True):
    """A code that logs in once."""

    code: Annotated[str, Meta(min_length=40, max_length=40, description="40 characters long")]


class LoginToken(msgspec.Struct, frozen=True):
    """The full login token, which is shown only this once."""

    token: str


@documented(
    "Auth",
    {200: Answer(LoginToken), **IN_COOKIE},
    body=json_body(Login, _EXAMPLE),
    parameters=(USE_COOKIES,),
    refusals=(Unauthenticated, Forbidden),
)
async def post_login(request: web.Request) -> web.Response:
    """Log in: returns a new login token, valid for 3 months."""
    body, is_cookie = await read_body(request, Login), wants_cookie(request)
    user = await check_password(request, body.email, body.password)
    return await log_in(request, user, body.invite_token, is_cookie=is_cookie)


@documented(
    "Auth",
    {200: Answer(LoginToken), **IN_COOKIE},
    body=json_body(LoginCode, {"code": "0123456789012345678901234567890123456789"}),
    parameters=(USE_COOKIES,),
    refusals=(Unauthenticated, Forbidden),
)
async def post_login_code(request: web.Request) -> web.Response:
    """Log in with a code that `headrace up` has printed. It works once, for some minutes."""
    api, body = request.app[API], await read_body(request, LoginCode, is_required=True)
    is_cookie = wants_cookie(request)  # first: a request of another page must not use up the code
    async with connected(api.pool) as connection, connection.transaction():
        user_id = await use_login_code(connection, body.code, api.clock.now())
        user = None if user_id is None else await find_user_by_id(connection, user_id)
    if user is None or not user.is_active:
        raise Unauthenticated("This link has been used already, or it is too old.")
    return await log_in(request, user, None, is_cookie=is_cookie)


@documented("Auth", {200: Answer()})
async def get_logout(request: web.Request) -> web.Response:
    """Log out: ends the login whose token the request carries; does nothing with Basic credentials."""
    api, login = request.app[API], request[IDENTITY].login
    if login is not None:
        async with connected(api.pool) as connection:
            await delete_tokens(connection, [login])
        await revoke_at_ingest(api, [login])
    response = web.Response()
    remove_cookie(request, response)
    return response


async def log_in(
    request: web.Request, user: User, invite_token: str | None, *, is_cookie: bool
) -> web.Response:
    """Create a login token, accept the invitation if there is one, and answer with the token or a cookie.

    An invalid invitation is ignored.
    """
    api, secret = request.app[API], new_token()
    now, has_joined = api.clock.now(), False
    token = login_token(secret, user.id, now, request.headers.get(hdrs.USER_AGENT))
    async with connected(api.pool) as connection, connection.transaction():
        if not await is_still_known(connection, user):
            raise Unauthenticated(LOGIN_FAILED)
        if invite_token is not None:
            has_joined = await accept(connection, invite_token, user.id, now)
        ended = await delete_old_logins(connection, user.id, now)
        await add_token(connection, token)
    await publish_new_token(api, token.id)
    await revoke_at_ingest(api, ended)
    if has_joined:
        await publish_member(api, user.id)
    return cookie_response(request, secret) if is_cookie else login_response(secret)


def login_response(secret: str) -> web.Response:
    """The answer that shows a login token, which must not be cached."""
    return json_response(LoginToken(secret), headers={hdrs.CACHE_CONTROL: "no-store"})


ROUTES: Final = (
    Route("POST", "/auth/login", post_login, Role.ANYONE),
    Route("POST", "/auth/login-code", post_login_code, Role.ANYONE),
    Route("GET", "/auth/logout", get_logout, Role.PERSON),
)

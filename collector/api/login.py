"""POST /api/v2/auth/login: an address and a password for a token (contract 1.3, 10 rows 4 and 21)."""

from typing import Annotated, Final

import msgspec
from aiohttp import hdrs, web
from msgspec import Meta

from collector.api.authentication import known_user
from collector.api.request_body import read_body
from collector.api.route import Role, Route
from collector.api.service import API, Api
from collector.api.tokens import announce
from collector.broker.errors import BrokerFull, BrokerUnavailable
from collector.database.pool import connected
from collector.database.tokens import add_token, delete_expired_logins, find_access, login_token
from collector.database.users import User, normal_email
from collector.domain.errors import Unauthenticated, Unavailable
from collector.domain.password import MAXIMUM_LENGTH, MINIMUM_LENGTH
from collector.domain.token import new_token
from collector.http.client_address import client_address
from collector.http.responses import json_response

_TRIES_OF_ADDRESS: Final = 5
_TRIES_FROM_IP: Final = 15


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """Who logs in. Invitations are not known here."""

    email: Annotated[str, Meta(pattern=r"\S", max_length=320, description="an e-mail address")]
    password: Annotated[
        str,
        Meta(
            min_length=MINIMUM_LENGTH,
            max_length=MAXIMUM_LENGTH,
            description=f"{MINIMUM_LENGTH} to {MAXIMUM_LENGTH} characters long",
        ),
    ]
    invite_token: Annotated[str, Meta(min_length=40, max_length=40, description="40 characters long")] = ""


async def post_login(request: web.Request) -> web.Response:
    """A login token that nobody has had before, valid for 3 months."""
    api = request.app[API]
    body = await read_body(request, Login)
    user = await _let_in(request, api, body)
    secret, now = new_token(), api.clock.now()
    token = login_token(secret, user.id, now)
    async with connected(api.pool) as connection, connection.transaction():
        await delete_expired_logins(connection, user.id, now)
        await add_token(connection, token)
        access = await find_access(connection, token.id)
    await announce(api, token.id, access)
    return json_response({"token": secret}, headers={hdrs.CACHE_CONTROL: "no-store"})


async def _let_in(request: web.Request, api: Api, body: Login) -> User:
    """Who that is. After too many tries not even the right password helps, and none is checked.

    While tries cannot be counted nobody is let in (contract 10, row 21).
    """
    address, client_ip = normal_email(body.email), client_address(request, api.trusted_proxies)
    try:
        tries = await api.login_counters.count(address, client_ip, api.clock.now())
        if tries.of_address > _TRIES_OF_ADDRESS or tries.from_ip > _TRIES_FROM_IP:
            raise Unauthenticated("Login denied.")
        user = await known_user(api, body.email, body.password)
        if user is None:
            raise Unauthenticated("Login failed.")
        await api.login_counters.forgive(address, client_ip, api.clock.now())
    except (BrokerUnavailable, BrokerFull) as error:
        raise Unavailable("Nobody can log in while tries cannot be counted; please repeat it.") from error
    return user


ROUTES: Final = (Route("POST", "/auth/login", post_login, Role.ANYONE),)

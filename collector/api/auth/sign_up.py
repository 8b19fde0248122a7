"""Signing up (contract 1.4), by default with an invitation only; an existing user is logged in.

The first user gets the scope `global`, and needs the first invitation (contract 10, row 23).
"""

from http import HTTPStatus
from typing import Final

import msgspec
from aiohttp import web

from collector.api.auth.accounts import SignUpRule, add_account, sign_up_disabled
from collector.api.auth.attempts import check_password
from collector.api.auth.cookies import IN_COOKIE, USE_COOKIES, wants_cookie
from collector.api.auth.login import Address, InviteToken, LoginToken, Password, log_in
from collector.api.auth.users import PersonName
from collector.api.core.route import Role, Route
from collector.api.core.service import API
from collector.api.request.request_body import read_body
from collector.broker.errors import BrokerFull, BrokerUnavailable
from collector.database.owners.users import User, find_user
from collector.database.pool import connected
from collector.domain.access.email import email_error
from collector.domain.errors import Forbidden, Invalid, Unauthenticated, Unavailable
from collector.http.client_address import counted_address
from collector.http.operation import Answer, documented, json_body

_SIGN_UPS_AN_HOUR: Final = 10
_ADDRESS_CHECKS_AN_HOUR: Final = 3


class SignUp(msgspec.Struct, frozen=True, kw_only=True):
    """A new account, and an invitation, which is optional where sign-up is open to all."""

    name: PersonName
    email: Address
    password: Password
    invite_token: InviteToken | None = None


@documented(
    "Auth",
    {200: Answer(LoginToken), **IN_COOKIE},
    body=json_body(SignUp, {"name": "You", "email": "you@gmail.com", "password": "correct horse"}),
    parameters=(USE_COOKIES,),
    refusals=(Unauthenticated, Forbidden),
)
async def post_sign_up(request: web.Request) -> web.Response:
    """Sign up: returns a login token of the new user, or of the one with that address and password.

    Needs an `invite_token`, unless the operator has opened sign-up (`HEADRACE_SIGN_UP_ENABLED=true`).
    """
    api, body = request.app[API], await read_body(request, SignUp)
    is_cookie = wants_cookie(request)
    if fault := email_error(body.email):
        raise Invalid(fields={"email": [fault]})
    rule = SignUpRule(api.settings.sign_up_enabled, body.invite_token)
    async with connected(api.pool) as connection:
        if not await rule.permits(connection, api.clock.now()):
            raise sign_up_disabled()
        has_account = await find_user(connection, body.email) is not None
    user: User | None = None
    if not has_account:
        if await _count(request, "sign_up") > _SIGN_UPS_AN_HOUR:
            raise Unauthenticated(
                "Too many accounts were created from your address; please try again in an hour."
            )
        # None if the address has just been taken. Only one of two can use an invitation.
        user = await add_account(api, body.email, body.name, body.password, rule=rule)
    # The address has an account, perhaps since a moment ago: the password decides.
    if user is None:
        user = await check_password(request, body.email, body.password)
    return await log_in(request, user, body.invite_token, is_cookie=is_cookie)


@documented(
    "Auth",
    {
        201: Answer(description="The address has an account."),
        204: Answer(description="The address has no account."),
    },
)
async def get_address_check(request: web.Request) -> web.Response:
    """Check whether an address has an account: 201 if it has, 204 if not.

    Rate limited: always 204 above three requests an hour.
    """
    api = request.app[API]
    if await _count(request, "address_check") > _ADDRESS_CHECKS_AN_HOUR:
        return web.Response(status=HTTPStatus.NO_CONTENT)
    async with connected(api.pool) as connection:
        user = await find_user(connection, request.match_info["email"])
    return web.Response(status=HTTPStatus.NO_CONTENT if user is None else HTTPStatus.CREATED)


async def _count(request: web.Request, kind: str) -> int:
    """Count a request of this kind; returns how many the same IP address made in this hour."""
    api = request.app[API]
    try:
        client_ip = counted_address(request, api.trusted_proxies)
        return await api.login_counters.count_in_hour(kind, client_ip, api.clock.now())
    except (BrokerUnavailable, BrokerFull) as error:
        raise Unavailable(
            "This is not available while requests cannot be counted; please try again."
        ) from error


ROUTES: Final = (
    Route("POST", "/auth/signup", post_sign_up, Role.ANYONE),
    Route("GET", "/auth/check-email-address/{email:text}", get_address_check, Role.ANYONE),
)

"""Changing a password, which revokes every other login and token of the person (contract 1.4)."""

from typing import Final

import msgspec
from aiohttp import hdrs, web

from collector.api.auth.attempts import check_password, forget_login_ips
from collector.api.auth.authentication import IDENTITY
from collector.api.auth.cookies import IN_COOKIE, USE_COOKIES, cookie_response, wants_cookie
from collector.api.auth.login import LoginToken, Password, login_response
from collector.api.core.projection_updates import publish_new_token, revoke_at_ingest
from collector.api.core.route import Role, Route
from collector.api.core.service import API
from collector.api.request.request_body import read_body
from collector.database.owners.tokens import add_token, delete_tokens_of_user, login_token
from collector.database.owners.users import find_user_by_id, set_password
from collector.database.pool import connected
from collector.domain.access.token import new_token
from collector.domain.errors import Conflict, Invalid, Unauthenticated
from collector.http.client_address import counted_address
from collector.http.operation import Answer, documented, json_body


class PasswordChange(msgspec.Struct, frozen=True, kw_only=True):
    """The current password and the new one."""

    current_password: Password
    password: Password


@documented(
    "Auth",
    {200: Answer(LoginToken), **IN_COOKIE},
    body=json_body(
        PasswordChange, {"current_password": "your password", "password": "correct horse battery"}
    ),
    parameters=(USE_COOKIES,),
    refusals=(Conflict,),
)
async def post_password_change(request: web.Request) -> web.Response:
    """Change the password: revokes all logins and tokens of the person and returns a new login token.

    Wrong passwords count towards the limit of login attempts.
    """
    api, body = request.app[API], await read_body(request, PasswordChange, is_required=True)
    is_cookie = wants_cookie(request)
    async with connected(api.pool) as connection:
        user = await find_user_by_id(connection, request[IDENTITY].person)
    try:
        user = await check_password(request, user.email_address if user else "", body.current_password)
    except Unauthenticated:
        wrong = "The current password is wrong, or there were too many attempts."
        raise Invalid(fields={"current_password": [wrong]}) from None
    if body.password == body.current_password:
        raise Invalid(fields={"password": ["The new password must be different from the previous password."]})
    client_ip = counted_address(request, api.trusted_proxies)
    password_hash = await api.passwords.hashed(body.password, client_ip)
    now, secret = api.clock.now(), new_token()
    token = login_token(secret, user.id, now, request.headers.get(hdrs.USER_AGENT))
    async with connected(api.pool) as connection, connection.transaction():
        if not await set_password(connection, user, password_hash, now):
            raise Conflict("The password has been changed meanwhile.")
        ended = await delete_tokens_of_user(connection, user.id)
        await add_token(connection, token)
    # Known IPs may belong to somebody who knew the old password: they are limited like new ones.
    await forget_login_ips(api, user.email_address)
    await revoke_at_ingest(api, ended)
    await publish_new_token(api, token.id)
    return cookie_response(request, secret) if is_cookie else login_response(secret)


ROUTES: Final = (Route("POST", "/auth/change-password", post_password_change, Role.PERSON),)

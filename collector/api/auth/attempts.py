"""Checks a password, however it was sent: by the login form, Basic credentials, sign-up or a change of it.

All ways are counted together, by IP and by account (contract 1.3; 10, rows 21 and 28).
"""

from typing import Final

import structlog
from aiohttp import web

from collector.api.core.service import API, Api
from collector.broker.errors import BrokerFull, BrokerUnavailable
from collector.database.errors import DatabaseUnavailable
from collector.database.owners.users import User, find_user, normal_email
from collector.database.pool import connected
from collector.domain.errors import Unauthenticated, Unavailable
from collector.http.client_address import counted_address

LOGIN_FAILED: Final = "Login failed."
_LOGIN_DENIED: Final = "Login denied."

_log = structlog.get_logger()


async def check_password(request: web.Request, email_address: str, password: str) -> User:
    """The active user with this address and password. Raises Unauthenticated if they are wrong.

    After too many attempts the password is not checked at all and even the right one is refused. While
    attempts cannot be counted, all are refused as Unavailable.
    """
    api = request.app[API]
    client_ip = counted_address(request, api.trusted_proxies)
    # Attempts are counted in their IP's turn: right passwords that arrive together are not too many attempts.
    async with api.passwords.turn(client_ip):
        try:
            attempt = await api.login_counters.count(normal_email(email_address), client_ip, api.clock.now())
            if attempt.is_denied:
                raise Unauthenticated(_LOGIN_DENIED)
            try:
                user = await _find(api, email_address, password)
            except (DatabaseUnavailable, Unavailable):
                # An attempt that we could not check must not count towards the lock-out.
                await api.login_counters.take_back(attempt, api.clock.now())
                raise
            if user is None:
                raise Unauthenticated(LOGIN_FAILED)
            await api.login_counters.note_login(attempt, api.clock.now())
        except (BrokerUnavailable, BrokerFull) as error:
            raise Unavailable(
                "Logging in is not possible while attempts cannot be counted; please try again."
            ) from error
    return user


async def forget_login_ips(api: Api, email_address: str) -> None:
    """Count attempts from everywhere for this account, whose password has changed."""
    try:
        await api.login_counters.forget_ips(normal_email(email_address))
    except (BrokerUnavailable, BrokerFull) as error:
        _log.warning("the IPs of an account's logins were not forgotten", cause=str(error))


async def _find(api: Api, email_address: str, password: str) -> User | None:
    """Takes the same time if the address is unknown."""
    async with connected(api.pool) as connection:
        user = await find_user(connection, email_address)
    is_right = await api.passwords.matches(user.password_hash if user else None, password)
    return user if user is not None and user.is_active and is_right else None

"""Authenticates requests against Postgres and decides what an identity may access (contract 1.1, 1.2, 10)."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from aiohttp import web

from collector.api.auth.attempts import check_password
from collector.api.auth.cookies import login_in_cookie
from collector.api.core.route import Role
from collector.api.core.service import API
from collector.database.errors import DatabaseUnavailable
from collector.database.owners.tokens import Access, find_access
from collector.database.pool import connected
from collector.domain.access.credentials import PasswordCredentials, TokenCredentials, parse_credentials
from collector.domain.access.scope import GLOBAL, USER, effective
from collector.domain.access.token import PresentedToken, present
from collector.domain.errors import Forbidden, Unauthenticated
from collector.http.client_address import counted_address, warn_of_untrusted_proxy
from collector.http.throttle import counted_organization


@dataclass(frozen=True, slots=True)
class Identity:
    """A person (by login or password) or a program (`is_token`, by access token), with its organizations."""

    scopes: frozenset[str]
    organization_ids: tuple[UUID, ...]
    user_id: UUID | None
    is_token: bool
    login: str | None = None
    """The public part of the login token that the request carries."""

    @property
    def person(self) -> UUID:
        """The id of the person. Raises Forbidden for a token that belongs to no person."""
        if self.user_id is None:
            raise Forbidden("This needs a login: this token belongs to no person.")
        return self.user_id

    @property
    def is_global(self) -> bool:
        """Whether this identity has access to every organization."""
        return GLOBAL in self.scopes

    def reaches(self, organization_id: UUID | None) -> bool:
        """Whether the organization's resources exist for this identity."""
        return self.is_global or organization_id in self.organization_ids


IDENTITY: Final = web.RequestKey("identity", Identity)
"""The identity of an authenticated request; not set on routes for anyone."""


async def admit(request: web.Request, role: Role) -> None:
    """Authenticate the request, check that the identity has the route's role, and count it for the throttle.

    Raises Unauthenticated for missing or wrong credentials, Forbidden for insufficient ones, and
    TooManyRequests.
    """
    api = request.app[API]
    warn_of_untrusted_proxy(request, api.trusted_proxies)
    # Open routes identify no caller, so the throttle counts by address.
    if role is Role.ANYONE:
        await api.throttle.count(request, f"ip:{counted_address(request, api.trusted_proxies)}")
        return
    credentials = parse_credentials(request.headers.get("Authorization"), request.query)
    # A browser that is logged in sends its token in a cookie.
    if credentials is None and (login := login_in_cookie(request)) is not None:
        credentials = TokenCredentials(login)
    match credentials:
        case TokenCredentials(token):
            identity = await _identity_by_token(request, token)
        case PasswordCredentials(email, password):
            user = await check_password(request, email, password)
            identity = Identity(
                scopes=frozenset(effective(user.roles)),
                organization_ids=user.organization_ids,
                user_id=user.id,
                is_token=False,
            )
        case _:
            raise Unauthenticated
    if USER not in identity.scopes:
        raise Forbidden("This needs the scope `user`; a token with the scope `client` can only post events.")
    if role is Role.PERSON and identity.is_token:
        raise Forbidden("This needs a login: a token cannot do it, whatever its scopes.")
    if role is Role.GLOBAL and not identity.is_global:
        raise Forbidden("This needs the scope `global`.")
    request[IDENTITY] = identity
    await api.throttle.count(request, throttle_key(identity))


def throttle_key(identity: Identity) -> str:
    """The key under which requests are counted: a program's organization, or the person."""
    if identity.is_token and identity.organization_ids:
        return counted_organization(identity.organization_ids[0].hex)
    return f"user:{identity.user_id.hex if identity.user_id else ''}"


async def _identity_by_token(request: web.Request, text: str) -> Identity:
    api, presented = request.app[API], present(text)
    if presented is None:
        raise Unauthenticated
    access = await _find_access(request, presented)
    if access.is_suspended or access.entry.is_expired(api.clock.now_ms()):
        raise Unauthenticated
    return Identity(
        scopes=frozenset(effective(access.entry.scopes)),
        organization_ids=tuple(UUID(bytes=packed) for packed in access.entry.organization_ids),
        user_id=access.user_id,
        is_token=not access.entry.is_login,
        login=presented.lookup if access.entry.is_login else None,
    )


async def _find_access(request: web.Request, presented: PresentedToken) -> Access:
    """Look a token up, counted before by the client's address unless it was found before.

    Raises Unauthenticated, or TooManyRequests if the client has sent too many unknown tokens.
    """
    api = request.app[API]
    failed, guard = api.failed_lookups, api.failed_lookups.guard(request)
    is_guess = not failed.is_found(presented.digest)
    if is_guess:
        guard.count()
    try:
        async with connected(api.pool) as connection:
            access = await find_access(connection, presented.lookup)
    except DatabaseUnavailable:
        if is_guess:
            guard.take_back()
        raise
    if access is None or not access.entry.matches(presented):
        failed.note_lost(presented.digest)
        raise Unauthenticated
    if is_guess:
        guard.take_back()
    failed.note_found(presented.digest)
    return access

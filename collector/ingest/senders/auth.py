"""Authenticates requests and finds their project: the first half of the edge sequence (contract 1.1, 3.2).

The order matters: bad or missing credentials are answered 401 before anything else is checked.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web

from collector.domain.access.credentials import TokenCredentials, parse_credentials
from collector.domain.access.scope import CLIENT, GLOBAL, USER
from collector.domain.access.token import TokenEntry, present
from collector.domain.errors import BadRequest, Forbidden, NotFound, OrganizationSuspended, Unauthenticated
from collector.domain.ids import parse_uuid
from collector.http.failed_lookups import FailedLookups
from collector.ingest.senders.token_cache import TokenCache
from collector.process.clock import Clock

NO_PROJECT = "No project id specified and no default project was found"
PROJECT_NOT_FOUND = "Project not found."


@dataclass(frozen=True, slots=True)
class Target:
    """The project that a request is for (ids are 16 bytes), with its client configuration."""

    project_id: bytes
    organization_id: bytes
    config_version: int
    settings: Mapping[str, str]


async def authenticate(
    request: web.BaseRequest, cache: TokenCache, clock: Clock, failed_lookups: FailedLookups
) -> TokenEntry:
    """Check the credentials of the request; returns its token, which allows the scope `client`.

    Raises Unauthenticated, Forbidden, TooManyRequests if the client has sent too many unknown tokens, or
    Unavailable if the token cannot be checked. Ingest has no passwords: Basic with an e-mail address is 401.
    """
    credentials = parse_credentials(request.headers.get("Authorization"), request.query)
    presented = present(credentials.token) if isinstance(credentials, TokenCredentials) else None
    if presented is None:
        raise Unauthenticated
    token = await cache.token(presented.lookup, failed_lookups.guard(request))
    if token is None or not token.matches(presented) or token.is_expired(clock.now_ms()):
        raise Unauthenticated
    if not token.organization_ids:
        raise Unauthenticated
    # A suspended organization's programs are 401; its users may still log in and read.
    if not token.is_login and await _is_suspended(token, cache):
        raise Unauthenticated
    if not token.allows(CLIENT):
        raise Forbidden("The token's scopes do not allow posting events.")
    return token


async def refuse_suspended(token: TokenEntry, cache: TokenCache) -> None:
    """Raise OrganizationSuspended for logins, which may read but not post; other tokens were 401."""
    if token.is_login and await _is_suspended(token, cache):
        raise OrganizationSuspended


async def find_target(token: TokenEntry, route_project: str | None, cache: TokenCache) -> Target:
    """The project named in the route, else the token's, else the token's default project.

    Raises BadRequest if there is none, NotFound if it is deleted or the token has no access to it.
    """
    if route_project is None:
        own = _own_project(token)
        if own is None:
            raise BadRequest(NO_PROJECT)
        return await _find_accessible(token, own, cache)
    named = parse_uuid(route_project)
    # A project's token is for that project only; other tokens reach all projects of their organizations.
    if named is None or (token.project_id is not None and token.project_id != named.bytes):
        raise NotFound(PROJECT_NOT_FOUND)
    return await _find_accessible(token, named.bytes, cache)


async def find_own_target(token: TokenEntry, cache: TokenCache) -> Target:
    """The token's own project. Raises Unauthenticated if it has none (contract 3.8, 6)."""
    if _own_project(token) is None:
        raise Unauthenticated
    return await find_target(token, None, cache)


async def find_readable_target(token: TokenEntry, route_project: str, cache: TokenCache) -> Target:
    """The project named in the route: a token that may read can name any of its organizations' projects."""
    named = parse_uuid(route_project)
    if named is None or not token.allows(USER):
        return await find_target(token, route_project, cache)
    return await _find_accessible(token, named.bytes, cache)


async def _find_accessible(token: TokenEntry, project_id: bytes, cache: TokenCache) -> Target:
    project = await cache.project(project_id)
    if project is None:
        raise NotFound(PROJECT_NOT_FOUND)
    may_use_all = token.is_login and token.allows(GLOBAL)
    if project.organization_id not in token.organization_ids and not may_use_all:
        raise NotFound(PROJECT_NOT_FOUND)
    return Target(project_id, project.organization_id, project.config_version, project.settings)


def _own_project(token: TokenEntry) -> bytes | None:
    return token.project_id or token.default_project_id


async def _is_suspended(token: TokenEntry, cache: TokenCache) -> bool:
    organization = await cache.organization(token.organization_ids[0])
    return organization is not None and organization.is_suspended

"""Who asks ingest, and for which project: the first half of the edge sequence (contract 1.1, 3.2).

The order matters: bad or missing credentials are 401 before anything else is considered.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web

from collector.domain.access.credentials import TokenCredentials, parse_credentials
from collector.domain.access.projection import ProjectEntry
from collector.domain.access.scope import CLIENT, GLOBAL, USER
from collector.domain.access.token import TokenEntry, present
from collector.domain.errors import BadRequest, Forbidden, NotFound, OrganizationSuspended, Unauthenticated
from collector.domain.ids import parse_uuid
from collector.ingest.senders.failed_lookups import FailedLookups
from collector.ingest.senders.token_cache import TokenCache
from collector.process.clock import Clock

NO_PROJECT = "No project id specified and no default project was found"
PROJECT_NOT_FOUND = "Project not found."


@dataclass(frozen=True, slots=True)
class Target:
    """The project that a request is about (ids are 16 bytes), with its client configuration."""

    project_id: bytes
    organization_id: bytes
    config_version: int
    settings: Mapping[str, str]


async def token_of(
    request: web.BaseRequest, cache: TokenCache, clock: Clock, failed_lookups: FailedLookups
) -> TokenEntry:
    """The enabled client token that the request carries.

    Raises Unauthenticated, Forbidden, TooManyRequests where the client has sent too many unknown ones, or
    Unavailable where the token cannot be checked. Ingest knows no passwords: Basic with an e-mail address
    is 401 here.
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
    if not token.is_login and await _is_suspended(token, cache):
        raise Unauthenticated
    if not token.allows(CLIENT):
        raise Forbidden("The token's scopes do not allow posting events.")
    return token


async def refuse_suspended(token: TokenEntry, cache: TokenCache) -> None:
    """A user of a suspended organization may look but not post (its tokens were refused before)."""
    if token.is_login and await _is_suspended(token, cache):
        raise OrganizationSuspended


async def target_of(token: TokenEntry, route_project: str | None, cache: TokenCache) -> Target:
    """The project from the route, else the token's, else its default one.

    Raises BadRequest without any, NotFound for one that is gone or somebody else's.
    """
    return await _found(token, _project_id(token, route_project), cache)


async def own_target_of(token: TokenEntry, cache: TokenCache) -> Target:
    """The token's own project; Unauthenticated where it has none (contract 3.8, 6)."""
    if _own_project(token) is None:
        raise Unauthenticated
    return await target_of(token, None, cache)


async def readable_target_of(token: TokenEntry, route_project: str, cache: TokenCache) -> Target:
    """The project from the route, which a token that may read can name within its organizations."""
    named = parse_uuid(route_project)
    if named is None or not token.allows(USER):
        return await target_of(token, route_project, cache)
    return await _found(token, named.bytes, cache)


async def _found(token: TokenEntry, project_id: bytes, cache: TokenCache) -> Target:
    project = await cache.project(project_id)
    if project is None or not _may_use(token, project):
        raise NotFound(PROJECT_NOT_FOUND)
    return Target(project_id, project.organization_id, project.config_version, project.settings)


def _own_project(token: TokenEntry) -> bytes | None:
    return token.project_id or token.default_project_id


def _project_id(token: TokenEntry, route_project: str | None) -> bytes:
    if route_project is None:
        own = _own_project(token)
        if own is None:
            raise BadRequest(NO_PROJECT)
        return own
    named = parse_uuid(route_project)
    if named is None or (token.project_id is not None and token.project_id != named.bytes):
        raise NotFound(PROJECT_NOT_FOUND)
    return named.bytes


def _may_use(token: TokenEntry, project: ProjectEntry) -> bool:
    return project.organization_id in token.organization_ids or (token.is_login and token.allows(GLOBAL))


async def _is_suspended(token: TokenEntry, cache: TokenCache) -> bool:
    organization = await cache.organization(token.organization_ids[0])
    return organization is not None and organization.is_suspended

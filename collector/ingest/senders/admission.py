"""Whether ingest accepts a post from a sender now: the edge sequence around a body (contract 3.2)."""

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from collector.domain.access.token import TokenEntry
from collector.domain.errors import MonthlyLimitReached
from collector.http.client_address import warn_of_untrusted_proxy
from collector.http.throttle import counted_organization
from collector.ingest.fast_path.auth_cache import CheckStart
from collector.ingest.senders.auth import Target, authenticate, find_target, refuse_suspended
from collector.ingest.services import INGEST

LengthCheck = Callable[[web.BaseRequest, int], object]
ContentCheck = Callable[[web.BaseRequest], None]


@dataclass(frozen=True, slots=True)
class Admission:
    """The authenticated sender, the project, and when that was checked."""

    token: TokenEntry
    target: Target
    check: CheckStart


async def admit(
    request: web.Request,
    check_length: LengthCheck | None = None,
    check_content: ContentCheck | None = None,
) -> Admission:
    """Check everything that precedes the body; `check_length` and `check_content` check its headers.

    Raises the first refusal of the sequence, which decides what the client does with its events.
    """
    ingest = request.app[INGEST]
    check = ingest.auth_cache.begin_check()
    warn_of_untrusted_proxy(request, ingest.trusted_proxies)
    token = await authenticate(request, ingest.cache, ingest.clock, ingest.failed_lookups)
    # Programs are counted by organization and people one by one, as in the api.
    if token.is_login and token.user_id is not None:
        counted_as = f"user:{token.user_id.hex()}"
    else:
        counted_as = counted_organization(token.organization_ids[0].hex())
    await ingest.throttle.count(request, counted_as)
    ingest.reasons.check()
    # Order of contract 3.2: length, suspension, content, project, limit.
    if check_length is not None:
        check_length(request, ingest.settings.body_limit_bytes)
    await refuse_suspended(token, ingest.cache)
    if check_content is not None:
        check_content(request)
    target = await find_target(token, request.match_info.get("projectId"), ingest.cache)
    # The limit of the project's organization, which may be any of the token's.
    organization = await ingest.cache.organization(target.organization_id)
    if organization is not None and organization.is_over_limit:
        raise MonthlyLimitReached
    return Admission(token, target, check)


async def recheck_target(request: web.Request, admission: Admission) -> Target:
    """Check the token again after the body has arrived, if it may have been revoked meanwhile."""
    ingest = request.app[INGEST]
    if ingest.cache.evictions == admission.check.evictions:
        return admission.target
    token = await authenticate(request, ingest.cache, ingest.clock, ingest.failed_lookups)
    return await find_target(token, request.match_info.get("projectId"), ingest.cache)

"""Whether ingest takes something from a sender just now: the edge sequence around a body (contract 3.2)."""

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from collector.domain.access.token import TokenEntry
from collector.domain.errors import MonthlyLimitReached
from collector.http.throttle import counted_organization
from collector.ingest.fast_path.auth_cache import CheckedSender
from collector.ingest.senders.auth import Target, refuse_suspended, target_of, token_of
from collector.ingest.senders.token_cache import TokenCache
from collector.ingest.services import DOOR

LengthCheck = Callable[[web.BaseRequest, int], object]
ContentCheck = Callable[[web.BaseRequest], None]


@dataclass(frozen=True, slots=True)
class Admission:
    """Who was let in, for which project, and as of when that is known."""

    token: TokenEntry
    target: Target
    check: CheckedSender


async def admit(
    request: web.Request,
    check_length: LengthCheck | None = None,
    check_content: ContentCheck | None = None,
) -> Admission:
    """Let the sender in; `check_length` and `check_content` judge a body by its head.

    Raises the first refusal of the sequence, which decides what the client does with its events.
    """
    ingest = request.app[DOOR]
    check = ingest.senders.begin_check()
    token = await token_of(request, ingest.cache, ingest.clock, ingest.failed_lookups)
    await ingest.throttle.count(request, _counted_as(token))
    ingest.reasons.check()
    if check_length is not None:
        check_length(request, ingest.settings.body_limit_bytes)
    await refuse_suspended(token, ingest.cache)
    if check_content is not None:
        check_content(request)
    target = await target_of(token, request.match_info.get("projectId"), ingest.cache)
    await _refuse_over_limit(target, ingest.cache)
    return Admission(token, target, check)


async def _refuse_over_limit(target: Target, cache: TokenCache) -> None:
    """Whichever of the sender's organizations the project is of."""
    organization = await cache.organization(target.organization_id)
    if organization is not None and organization.is_over_limit:
        raise MonthlyLimitReached


def _counted_as(token: TokenEntry) -> str:
    """Programs count for their organization, people for themselves, as they do at the api."""
    if token.is_login and token.user_id is not None:
        return f"user:{token.user_id.hex()}"
    return counted_organization(token.organization_ids[0].hex())


async def target_still(request: web.Request, admission: Admission) -> Target:
    """The project again: a token that was revoked while its body came in is refused all the same."""
    ingest = request.app[DOOR]
    if ingest.cache.evictions == admission.check.evictions:
        return admission.target
    token = await token_of(request, ingest.cache, ingest.clock, ingest.failed_lookups)
    return await target_of(token, request.match_info.get("projectId"), ingest.cache)

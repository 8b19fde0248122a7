"""A user's description of an event: checked at ingest, then queued as events are (contract 3.9).

Whether the event exists is not asked: descriptions may overtake the events that they are of.
"""

from typing import Final

import msgspec
from aiohttp import hdrs, web

from collector.domain.errors import (
    BadRequest,
    BodyTooLarge,
    Invalid,
    MonthlyLimitReached,
    OrganizationSuspended,
    UnsupportedContent,
)
from collector.domain.intake.body import decode_text
from collector.domain.intake.decompress import UnstorablePost, decompress
from collector.domain.intake.description_request import parse_description
from collector.domain.post import USER_DESCRIPTION
from collector.http.event_form import DescriptionForm
from collector.http.operation import Answer, documented, json_body
from collector.ingest.body.request_body import (
    check_encoding,
    check_json,
    check_length_at_most,
    content_encoding,
    read_body,
)
from collector.ingest.fast_path.posts import post_of
from collector.ingest.guard import ingest_errors
from collector.ingest.handlers.paths import ID, PROJECT, REFERENCE
from collector.ingest.post_headers import CONFIG_VERSION_HEADERS, config_version_header
from collector.ingest.senders.admission import admit, target_still
from collector.ingest.senders.auth import Target
from collector.ingest.services import DOOR

_BODY: Final = json_body(
    DescriptionForm, {"email_address": "me@example.com", "description": "It broke when I saved."}
)
_REFUSALS: Final = (
    BadRequest,
    OrganizationSuspended,
    MonthlyLimitReached,
    BodyTooLarge,
    UnsupportedContent,
    Invalid,
)


@documented("Event", {202: Answer(headers=CONFIG_VERSION_HEADERS)}, body=_BODY, refusals=_REFUSALS)
@ingest_errors
async def post_description(request: web.Request) -> web.StreamResponse:
    """Queue the description of the event with that reference id."""
    admission = await admit(request, check_length_at_most, check_json)
    description = await _description(request)
    if description is None:
        raise Invalid(fields={"description": ["A description or an e-mail address is required."]})
    target = await target_still(request, admission)
    return await _queued(request, target, request.match_info["referenceId"], description)


@documented(
    "Event",
    {
        202: Answer(headers=CONFIG_VERSION_HEADERS),
        200: Answer(description="The body says nothing.", headers=CONFIG_VERSION_HEADERS),
    },
    body=_BODY,
    refusals=_REFUSALS,
)
@ingest_errors
async def patch_error(request: web.Request) -> web.StreamResponse:
    """The same in version 1, by the event's own id; a body that says nothing changes nothing."""
    admission = await admit(request, check_length_at_most, check_encoding)
    description = await _description(request, may_be_blank=True)
    target = await target_still(request, admission)
    if description is None:
        return web.Response(headers=config_version_header(request, target.config_version))
    return await _queued(request, target, request.match_info["id"], description)


async def _description(request: web.Request, *, may_be_blank: bool = False) -> bytes | None:
    """The description as it is queued; None for a body that says nothing."""
    ingest, encoding = request.app[DOOR], content_encoding(request)
    limit_bytes = ingest.settings.body_limit_bytes
    body = await read_body(request, limit_bytes, ingest.bodies)

    def read() -> bytes | None:
        text = _text(body, encoding, request.headers.get(hdrs.CONTENT_TYPE, ""), limit_bytes)
        return None if may_be_blank and not text.strip() else parse_description(text)

    return await ingest.turns.run(body, encoding, read)


def _text(body: bytes, encoding: str, content_type: str, limit_bytes: int) -> str:
    """The body as text, within the limit unpacked, too. Raises BadRequest where it cannot be unpacked."""
    try:
        plain = decompress(body, encoding, limit_bytes)
    except UnstorablePost as problem:
        raise BadRequest(problem.detail) from None
    return decode_text(plain, content_type)


async def _queued(
    request: web.Request, target: Target, reference_id: str, description: bytes
) -> web.StreamResponse:
    ingest = request.app[DOOR]
    post = msgspec.structs.replace(
        post_of(request, ingest, target, description),
        content_type="application/json",
        content_encoding="",
        kind=USER_DESCRIPTION,
        reference_id=reference_id,
    )
    await ingest.queue.append(post)
    return web.Response(status=202, headers=config_version_header(request, target.config_version))


ROUTES: Final = [
    web.post(f"/api/v2/events/by-ref/{REFERENCE}/user-description", post_description),
    web.post(f"/api/v2/projects/{PROJECT}/events/by-ref/{REFERENCE}/user-description", post_description),
    web.patch(f"/api/v1/error/{ID}", patch_error),
]

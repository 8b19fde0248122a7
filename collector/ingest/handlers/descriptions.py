"""A user's description of an event: validated here, then queued like an event (contract 3.9).

Whether the event exists is not checked: a description may arrive before its event.
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
from collector.ingest.fast_path.posts import build_post
from collector.ingest.guard import ingest_errors
from collector.ingest.handlers.paths import ID, PROJECT, REFERENCE
from collector.ingest.post_headers import CONFIG_VERSION_HEADERS, config_version_header
from collector.ingest.senders.admission import Admission, admit, recheck_target
from collector.ingest.senders.auth import Target
from collector.ingest.services import INGEST

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
    description = await _read_description(request, admission)
    if description is None:
        raise Invalid(fields={"description": ["A description or an e-mail address is required."]})
    target = await recheck_target(request, admission)
    return await _queue(request, target, request.match_info["referenceId"], description)


@documented(
    "Event",
    {
        202: Answer(headers=CONFIG_VERSION_HEADERS),
        200: Answer(description="The description is empty.", headers=CONFIG_VERSION_HEADERS),
    },
    body=_BODY,
    refusals=_REFUSALS,
)
@ingest_errors
async def patch_error(request: web.Request) -> web.StreamResponse:
    """The same in version 1, by the event's own id; an empty description is ignored."""
    admission = await admit(request, check_length_at_most, check_encoding)
    description = await _read_description(request, admission, may_be_blank=True)
    target = await recheck_target(request, admission)
    if description is None:
        return web.Response(headers=config_version_header(request, target.config_version))
    return await _queue(request, target, request.match_info["id"], description)


async def _read_description(
    request: web.Request, admission: Admission, *, may_be_blank: bool = False
) -> bytes | None:
    """Read and validate the description; returns it as it is queued, or None for an empty one."""
    ingest, encoding = request.app[INGEST], content_encoding(request)
    limit_bytes = ingest.settings.body_limit_bytes
    body = await read_body(request, limit_bytes, ingest.inflight_bodies)

    def parse() -> bytes | None:
        try:
            plain = decompress(body, encoding, limit_bytes)
        except UnstorablePost as problem:
            raise BadRequest(problem.detail) from None
        text = decode_text(plain, request.headers.get(hdrs.CONTENT_TYPE, ""))
        return None if may_be_blank and not text.strip() else parse_description(text)

    return await ingest.body_executor.run_for_body(body, encoding, parse, admission.target.organization_id)


async def _queue(
    request: web.Request, target: Target, reference_id: str, description: bytes
) -> web.StreamResponse:
    ingest = request.app[INGEST]
    post = msgspec.structs.replace(
        build_post(request, ingest, target, description),
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

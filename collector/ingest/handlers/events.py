"""POST of events: authenticate the sender, queue the body as it arrived, answer 202."""

from typing import Final

import msgspec
from aiohttp import hdrs, web

from collector.domain.errors import (
    BadRequest,
    BodyTooLarge,
    Invalid,
    LengthRequired,
    MonthlyLimitReached,
    OrganizationSuspended,
    UnsupportedContent,
)
from collector.http.event_form import SENT_ERROR, SENT_EVENT, SENT_SIMPLE_ERROR, EventForm
from collector.http.operation import Answer, Body, Content, Parameter, documented
from collector.ingest.body.request_body import check_content, check_length, read_body
from collector.ingest.body.strict import APPLIED, is_strict_post
from collector.ingest.fast_path.posts import PATH, build_post
from collector.ingest.guard import ingest_errors
from collector.ingest.handlers.paths import PROJECT
from collector.ingest.post_headers import (
    CONFIG_VERSION_HEADERS,
    LEGACY_API,
    api_version,
    config_version_header,
)
from collector.ingest.senders.admission import admit, recheck_target
from collector.ingest.services import INGEST

_BODY: Final = Body(
    {
        "application/json": Content(
            EventForm | list[EventForm],
            {
                "event": SENT_EVENT,
                "error": SENT_ERROR,
                "simple error": SENT_SIMPLE_ERROR,
                "events": [SENT_EVENT, {"message": "Again"}],
            },
        ),
        "text/plain": Content(str, {"lines": "Hello\nOne event for each line"}),
    },
    is_required=False,
)


@documented(
    "Event",
    {202: Answer(headers=(*CONFIG_VERSION_HEADERS, "Preference-Applied"))},
    body=_BODY,
    parameters=(
        Parameter(
            "Prefer",
            "`handling=strict`: validate the body first; the post is accepted as a whole or rejected.",
            location="header",
        ),
    ),
    refusals=(
        BadRequest,
        OrganizationSuspended,
        MonthlyLimitReached,
        LengthRequired,
        BodyTooLarge,
        UnsupportedContent,
        Invalid,
    ),
)
@ingest_errors
async def post_events(request: web.Request) -> web.StreamResponse:
    """Queue one post. 202 means that it is on the queue's disk, not that it is in Postgres yet.

    The token of a login has no project: post to `/api/v2/projects/{projectId}/events` with one. The API page
    does so by itself, with the first of your projects.
    """
    ingest = request.app[INGEST]
    admission = await admit(request, check_length, check_content)
    # The next such post of this sender can take the fast path.
    if request.path == PATH and not request.query_string:
        authorization = request.headers.get(hdrs.AUTHORIZATION, "")
        ingest.auth_cache.store(authorization, admission.token, admission.target, admission.check)
    body = await read_body(request, ingest.settings.body_limit_bytes, ingest.inflight_bodies)
    target = await recheck_target(request, admission)
    post = build_post(request, ingest, target, body)
    if api_version(request) == LEGACY_API:
        post = msgspec.structs.replace(post, api_version=LEGACY_API)
    headers = config_version_header(request, target.config_version)
    if is_strict_post(request):
        await ingest.strict_checks.check(post)
        headers |= APPLIED
    # An empty body has no event: nothing is queued for it.
    if body:
        await ingest.queue.append(post)
    return web.Response(status=202, headers=headers)


ROUTES: Final = [
    web.post(PATH, post_events),
    web.post(f"/api/v2/projects/{PROJECT}/events", post_events),
    web.post("/api/v1/events", post_events),
    web.post(f"/api/v1/projects/{PROJECT}/events", post_events),
    web.post("/api/v1/error", post_events),
]

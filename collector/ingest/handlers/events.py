"""POST of events: know the sender, queue the body as it came, answer 202."""

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
from collector.ingest.fast_path.posts import PATH, post_of
from collector.ingest.guard import ingest_errors
from collector.ingest.handlers.paths import PROJECT
from collector.ingest.post_headers import (
    CONFIG_VERSION_HEADERS,
    LEGACY_API,
    api_version_of,
    config_version_header,
)
from collector.ingest.senders.admission import admit, target_still
from collector.ingest.services import DOOR

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
            "`handling=strict`: look into the body first, and take nothing of it where something is wrong.",
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
    """Queue one post. 202 means it is on the queue's disk, not yet in Postgres.

    A login has no project of its own: with one, post to `/api/v2/projects/{projectId}/events`. The API page
    does that by itself, with the first of your projects.
    """
    ingest = request.app[DOOR]
    admission = await admit(request, check_length, check_content)
    if request.path == PATH and not request.query_string:
        authorization = request.headers.get(hdrs.AUTHORIZATION, "")
        ingest.senders.remember(authorization, admission.token, admission.target, admission.check)
    body = await read_body(request, ingest.settings.body_limit_bytes, ingest.bodies)
    target = await target_still(request, admission)
    post = post_of(request, ingest, target, body)
    if api_version_of(request) == LEGACY_API:
        post = msgspec.structs.replace(post, api_version=LEGACY_API)
    headers = config_version_header(request, target.config_version)
    if is_strict_post(request):
        await ingest.strict_checks.check(post)
        headers |= APPLIED
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

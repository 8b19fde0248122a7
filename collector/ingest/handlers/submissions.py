"""GET submit: an event in a query string, for tracking pixels and shell scripts (contract 3.7)."""

from typing import Final

import msgspec
from aiohttp import hdrs, web

from collector.domain.errors import BadRequest, MonthlyLimitReached, OrganizationSuspended
from collector.domain.intake.submission import submitted_event
from collector.domain.jsonb.text import encode_object
from collector.domain.project.client_settings import DATA_EXCLUSIONS, setting_patterns
from collector.http.operation import Answer, Parameter, documented
from collector.ingest.fast_path.posts import build_post
from collector.ingest.guard import ingest_errors
from collector.ingest.handlers.paths import PROJECT, TYPE
from collector.ingest.post_headers import CONFIG_VERSION_HEADERS, config_version_header, header_text
from collector.ingest.senders.admission import admit
from collector.ingest.services import INGEST

_PARAMETERS: Final = (
    Parameter("type", "The event's type; takes precedence over the one in the path."),
    Parameter("source", "Where the event comes from."),
    Parameter("message", "What happened.", example="Hello"),
    Parameter("reference", "A reference id, by which the event is found.", example="hello-0002"),
    Parameter(
        "date",
        "When it happened, in ISO 8601 or as `Mon, 30 Nov 2026 07:39:00 GMT`; now if omitted.",
    ),
    Parameter("count", "How many occurrences it stands for.", int),
    Parameter("value", "A number of your own.", float),
    Parameter("geo", "`latitude,longitude`."),
    Parameter("tags", "Tags, separated by commas."),
    Parameter("identity", "Who the user is."),
    Parameter("identityname", "The user's name."),
)


@documented(
    "Event",
    {200: Answer(headers=CONFIG_VERSION_HEADERS)},
    parameters=_PARAMETERS,
    refusals=(BadRequest, OrganizationSuspended, MonthlyLimitReached),
)
@ingest_errors
async def get_submit(request: web.Request) -> web.StreamResponse:
    """Queue the event; 200 with nothing queued if no parameter has a value."""
    ingest, target = request.app[INGEST], (await admit(request)).target
    event = submitted_event(
        [(header_text(name), header_text(value)) for name, value in request.query.items()],
        header_text(request.match_info.get("type", "")),
        setting_patterns(target.settings, DATA_EXCLUSIONS),
        ingest.clock.now(),
    )
    if event is not None:
        post = build_post(request, ingest, target, encode_object(event))
        # The body is ours, in version 2's format, whatever the request's headers say.
        post = msgspec.structs.replace(post, content_type="application/json", content_encoding="")
        await ingest.queue.append(post)
    headers = config_version_header(request, target.config_version) | {hdrs.CACHE_CONTROL: "no-store"}
    return web.Response(headers=headers)


ROUTES: Final = [
    # Not for HEAD: previewing a link must not post an event.
    web.get(f"/api/{version}{project}/events/submit{kind}", get_submit, allow_head=False)
    for version in ("v2", "v1")
    for project in ("", f"/projects/{PROJECT}")
    for kind in ("", f"/{TYPE}")
]

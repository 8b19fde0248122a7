"""GET submit: an event written into a query string, for pixels and shell scripts (contract 3.7)."""

from typing import Final

import msgspec
from aiohttp import hdrs, web

from collector.domain.client_settings import DATA_EXCLUSIONS, listed
from collector.domain.json_text import encoded
from collector.domain.submission import submitted_event
from collector.ingest.admission import admit
from collector.ingest.direct import post_of
from collector.ingest.door import DOOR
from collector.ingest.guard import at_the_door
from collector.ingest.paths import PROJECT, TYPE
from collector.ingest.post_headers import config_version_header, text_of


@at_the_door
async def get_submit(request: web.Request) -> web.StreamResponse:
    """Queue the event; 200 and nothing queued where no parameter says anything."""
    door, target = request.app[DOOR], (await admit(request)).target
    event = submitted_event(
        [(text_of(name), text_of(value)) for name, value in request.query.items()],
        text_of(request.match_info.get("type", "")),
        listed(target.settings, DATA_EXCLUSIONS),
    )
    if event is not None:
        post = post_of(request, door, target, encoded(event))
        # The event is of our own making, in version 2's form, whatever the request's head says.
        post = msgspec.structs.replace(post, content_type="application/json", content_encoding="")
        await door.queue.append(post)
    headers = config_version_header(request, target.config_version) | {hdrs.CACHE_CONTROL: "no-store"}
    return web.Response(headers=headers)


ROUTES: Final = [
    # Not for HEAD: whoever only looks at a link posts nothing.
    web.get(f"/api/{version}{project}/events/submit{kind}", get_submit, allow_head=False)
    for version in ("v2", "v1")
    for project in ("", f"/projects/{PROJECT}")
    for kind in ("", f"/{TYPE}")
]

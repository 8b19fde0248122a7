"""GET heartbeat: a session is alive or has ended (contract 3.8)."""

from typing import Final

from aiohttp import hdrs, web

from collector.broker.errors import BrokerFull, BrokerUnavailable
from collector.domain.errors import Unavailable
from collector.domain.session.heartbeat import parse_heartbeat
from collector.http.operation import Answer, Parameter, documented
from collector.ingest.guard import ingest_errors
from collector.ingest.senders.auth import authenticate, find_own_target
from collector.ingest.services import INGEST


@documented(
    "Event",
    {200: Answer()},
    parameters=(
        Parameter("id", "The session's id, or the identity of its user."),
        Parameter("close", "Whether the session has ended.", bool),
    ),
)
@ingest_errors
async def get_heartbeat(request: web.Request) -> web.StreamResponse:
    """Record the heartbeat; 200 without a body, also if no session is named."""
    ingest = request.app[INGEST]
    token = await authenticate(request, ingest.cache, ingest.clock, ingest.failed_lookups)
    target = await find_own_target(token, ingest.cache)
    heartbeat = parse_heartbeat(request.rel_url.raw_query_string)
    if heartbeat is not None and not ingest.settings.submission_disabled:
        now_ms = ingest.clock.now_ms()
        try:
            is_kept = await ingest.heartbeats.beat(
                target.project_id, heartbeat.session_key, now_ms, closes=heartbeat.closes
            )
        except (BrokerUnavailable, BrokerFull) as error:
            raise Unavailable("Heartbeats cannot be recorded right now.") from error
        if not is_kept:
            raise Unavailable("More sessions are active than this server can follow.")
    return web.Response(headers={hdrs.CACHE_CONTROL: "no-store"})


ROUTES: Final = [
    web.get("/api/v2/events/session/heartbeat", get_heartbeat, allow_head=False),
]

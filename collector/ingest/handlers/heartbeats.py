"""GET heartbeat: a session is alive or has ended (contract 3.8)."""

from typing import Final

from aiohttp import hdrs, web

from collector.broker.errors import BrokerFull, BrokerUnavailable
from collector.domain.errors import Unavailable
from collector.domain.session.heartbeat import Heartbeat, parse_heartbeat
from collector.http.operation import Answer, Parameter, documented
from collector.ingest.guard import ingest_errors
from collector.ingest.senders.auth import Target, own_target_of, token_of
from collector.ingest.services import DOOR, IngestServices


@documented(
    "Event",
    {200: Answer()},
    parameters=(
        Parameter("id", "The session's id, or the user's identity where the session is that user's."),
        Parameter("close", "Whether the session has ended.", bool),
    ),
)
@ingest_errors
async def get_heartbeat(request: web.Request) -> web.StreamResponse:
    """Keep the sign of life; 200 without a body, also where no session is named."""
    ingest = request.app[DOOR]
    token = await token_of(request, ingest.cache, ingest.clock, ingest.failed_lookups)
    target = await own_target_of(token, ingest.cache)
    heartbeat = parse_heartbeat(request.rel_url.raw_query_string)
    if heartbeat is not None and not ingest.settings.submission_disabled:
        await _keep(ingest, target, heartbeat)
    return web.Response(headers={hdrs.CACHE_CONTROL: "no-store"})


async def _keep(ingest: IngestServices, target: Target, heartbeat: Heartbeat) -> None:
    key, now_ms = heartbeat.session_key, ingest.clock.now_ms()
    try:
        is_kept = await ingest.heartbeats.beat(target.project_id, key, now_ms, closes=heartbeat.closes)
    except (BrokerUnavailable, BrokerFull) as error:
        raise Unavailable("Heartbeats cannot be kept right now.") from error
    if not is_kept:
        raise Unavailable("More sessions are alive than this server can follow.")


ROUTES: Final = [
    web.get("/api/v2/events/session/heartbeat", get_heartbeat, allow_head=False),
]

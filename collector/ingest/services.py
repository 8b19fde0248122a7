"""Opens the parts of ingest and makes them available to its handlers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog
from aiohttp import web

from collector.broker.connection import check_server, connect, watch_connections
from collector.broker.counters.request_counters import RequestCounters
from collector.broker.errors import BrokerFull, BrokerUnavailable
from collector.broker.heartbeats import Heartbeats
from collector.broker.keys import RedisKeys
from collector.broker.permissions import ingest_commands
from collector.broker.queue.post_stream import PostStream
from collector.broker.queue.shards import FOLLOW_SECONDS, Shards
from collector.broker.token_projection import TokenProjection
from collector.domain.errors import Refusal
from collector.domain.ids import PostIds
from collector.domain.reasons import SUBMISSION_DISABLED
from collector.http.client_address import TrustedProxies, trusted_proxies
from collector.http.errors import STATUS
from collector.http.failed_lookups import FailedLookups
from collector.http.throttle import Throttle
from collector.ingest.backpressure import Backpressure, Marks
from collector.ingest.body.body_executor import BodyExecutor
from collector.ingest.body.inflight_bodies import InflightBodies, make_inflight_bodies
from collector.ingest.body.strict import StrictChecks
from collector.ingest.event_age import EventAge
from collector.ingest.fast_path.auth_cache import AuthCache
from collector.ingest.fault_points import with_fault_points
from collector.ingest.post_queue import APPEND_SECONDS, PostQueue
from collector.ingest.readiness import Readiness
from collector.ingest.reasons import Reasons
from collector.ingest.senders.token_cache import TokenCache
from collector.ingest.settings import IngestSettings
from collector.process.clock import Clock, SystemClock
from collector.process.faults import NO_FAULTS, FaultPoints
from collector.process.lifecycle import cancelled, vital
from collector.process.metrics import IngestMetrics, ProcessMetrics


@dataclass(frozen=True, slots=True)
class IngestServices:
    """What the handlers of ingest use."""

    settings: IngestSettings
    trusted_proxies: TrustedProxies
    clock: Clock
    ids: PostIds
    cache: TokenCache
    failed_lookups: FailedLookups
    auth_cache: AuthCache
    backpressure: Backpressure
    queue: PostQueue
    heartbeats: Heartbeats
    inflight_bodies: InflightBodies
    body_executor: BodyExecutor
    strict_checks: StrictChecks
    reasons: Reasons
    readiness: Readiness
    metrics: IngestMetrics
    throttle: Throttle

    def count_refusal(self, refusal: Refusal) -> None:
        """Count a refused post, and note its reason, so that the readiness shows it too."""
        self.reasons.note_refusal(refusal)
        self.metrics.posts_refused.labels(int(STATUS[type(refusal)])).inc()


LOOKUP_SECONDS: Final = 1.0
"""How long a token look-up may take before ingest uses what it has cached."""

STATE_SECONDS: Final = 2.0
"""How long the queue's server may take to report its state before it counts as unavailable."""

_log = structlog.get_logger()

INGEST: Final = web.AppKey("ingest", IngestServices)


@asynccontextmanager
async def open_ingest(
    settings: IngestSettings, process_metrics: ProcessMetrics, faults: FaultPoints = NO_FAULTS
) -> AsyncIterator[IngestServices]:
    """Connect, and run the background tasks of ingest; at the end, accepted posts are written first.

    Raises StartError if Redis is unreachable or too old.
    """
    clock, keys = faults.clock, RedisKeys(settings.redis_key_prefix)
    proxies = trusted_proxies(settings.trusted_proxies, settings.proxy_header)
    redis = connect(settings.redis_url, socket_timeout_seconds=APPEND_SECONDS)
    lookups = connect(settings.redis_url, socket_timeout_seconds=LOOKUP_SECONDS)
    watching = connect(settings.redis_url, socket_timeout_seconds=STATE_SECONDS, max_connections=1)
    readiness: Readiness | None = None
    try:
        await check_server(redis, settings.redis_url, ingest_commands(keys))
        metrics = IngestMetrics(process_metrics.registry)
        for name, client in (("queue", redis), ("lookups", lookups), ("state", watching)):
            watch_connections(client, f"redis_{name}", process_metrics)
        projection, ids = TokenProjection(lookups, keys), PostIds()
        cache = TokenCache(projection, clock, metrics, settings.stale_token_seconds)
        reasons = Reasons(clock, metrics)
        if settings.submission_disabled:
            reasons.put(SUBMISSION_DISABLED, "HEADRACE_SUBMISSION_DISABLED is true")
        marks = Marks(
            memory_share=settings.queue_high_percent / 100,
            disk=Path(settings.queue_disk) if settings.queue_disk else None,
            disk_free_bytes=settings.queue_disk_free_bytes,
        )
        backpressure = Backpressure(marks, clock, metrics, reasons)
        shards = Shards(lookups, keys, settings.shards)
        event_age = EventAge(lookups, keys, settings.max_event_age_days)
        await _follow_once(shards, event_age, metrics)
        sink = with_fault_points(PostStream(redis, keys, shards, settings.body_limit_bytes), faults)
        queue = PostQueue(sink, ids, clock, metrics, backpressure, lambda: shards.number)
        readiness = Readiness(
            watching,
            shards,
            SystemClock(),
            metrics,
            backpressure,
            durability=settings.durability,
        )
        await readiness.check()
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(vital("evictions", cache.follow()))
            sharding = tasks.create_task(vital("shards", _follow_shared(shards, event_age, metrics)))
            checking = tasks.create_task(vital("readiness", readiness.keep_checking()))
            throttle = Throttle(RequestCounters(lookups, keys), settings.request_limit, clock)
            await throttle.warn_if_limits_differ()
            try:
                with BodyExecutor() as body_executor:
                    async with queue.open():
                        yield IngestServices(
                            settings,
                            proxies,
                            clock,
                            ids,
                            cache,
                            FailedLookups(clock, proxies, settings.request_limit),
                            AuthCache(cache, clock),
                            backpressure,
                            queue,
                            Heartbeats(lookups, keys, backpressure.limit_bytes),
                            make_inflight_bodies(settings.body_limit_bytes),
                            body_executor,
                            StrictChecks(settings.body_limit_bytes, event_age, body_executor),
                            reasons,
                            readiness,
                            metrics,
                            throttle,
                        )
            finally:
                await cancelled(following, checking, sharding)
    finally:
        if readiness is not None:
            await readiness.close()
        await watching.aclose()
        await lookups.aclose()
        await redis.aclose()


async def _follow_shared(shards: Shards, event_age: EventAge, metrics: IngestMetrics) -> None:
    while True:
        await asyncio.sleep(FOLLOW_SECONDS)
        await _follow_once(shards, event_age, metrics)


async def _follow_once(shards: Shards, event_age: EventAge, metrics: IngestMetrics) -> None:
    """Read the shared settings, which stay the same while Redis is unreachable or has no memory left."""
    try:
        await event_age.follow()
        await shards.follow()
    except (BrokerUnavailable, BrokerFull):
        pass  # the readiness reports it
    except Exception:  # noqa: BLE001 - the loop must survive; counted and logged
        metrics.background_failures.labels("shards").inc()
        _log.exception("reading the shared settings failed")

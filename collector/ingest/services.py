"""Ingest's parts, put together: what its handlers reach through the application."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry

from collector.broker.connection import check_server, connect
from collector.broker.errors import BrokerFull, BrokerUnavailable
from collector.broker.heartbeats import Heartbeats
from collector.broker.keys import RedisKeys
from collector.broker.permissions import ingest_commands
from collector.broker.post_stream import PostStream
from collector.broker.request_counters import RequestCounters
from collector.broker.shards import FOLLOW_SECONDS, Shards
from collector.broker.token_projection import TokenProjection
from collector.domain.errors import Refusal
from collector.domain.ids import PostIds
from collector.domain.reasons import SUBMISSION_DISABLED
from collector.http.client_address import TrustedProxies, trusted_proxies
from collector.http.errors import STATUS
from collector.http.throttle import Throttle
from collector.ingest.backpressure import Backpressure, Marks
from collector.ingest.body.inflight_bodies import BodiesUnderWay, bodies_within
from collector.ingest.body.strict import StrictChecks
from collector.ingest.bounded_executor import BoundedExecutor
from collector.ingest.fast_path.auth_cache import KnownSenders
from collector.ingest.fault_points import with_fault_points
from collector.ingest.post_queue import APPEND_SECONDS, PostQueue
from collector.ingest.readiness import Readiness
from collector.ingest.reasons import Reasons
from collector.ingest.senders.failed_lookups import FailedLookups
from collector.ingest.senders.token_cache import TokenCache
from collector.ingest.settings import IngestSettings
from collector.process.clock import Clock, SystemClock
from collector.process.faults import NO_FAULTS, FaultPoints
from collector.process.lifecycle import cancelled, vital
from collector.process.metrics import IngestMetrics


@dataclass(frozen=True, slots=True)
class IngestServices:
    """Everything that ingest needs to answer its clients."""

    settings: IngestSettings
    trusted_proxies: TrustedProxies
    clock: Clock
    ids: PostIds
    cache: TokenCache
    failed_lookups: FailedLookups
    senders: KnownSenders
    backpressure: Backpressure
    queue: PostQueue
    heartbeats: Heartbeats
    bodies: BodiesUnderWay
    turns: BoundedExecutor
    strict_checks: StrictChecks
    reasons: Reasons
    readiness: Readiness
    metrics: IngestMetrics
    throttle: Throttle

    def count_refusal(self, refusal: Refusal) -> None:
        """One more refused post; whatever reason it was given shows in the readiness, too."""
        self.reasons.observer(refusal)
        self.metrics.posts_refused.labels(int(STATUS[type(refusal)])).inc()


LOOK_UP_SECONDS: Final = 1.0
"""How long a token is looked for before ingest goes by what it remembers."""

LOOK_SECONDS: Final = 2.0
"""How long the queue's server may take to tell its state before it counts as unavailable."""

_log = structlog.get_logger()

DOOR: Final = web.AppKey("ingest", IngestServices)


@asynccontextmanager
async def open_ingest(
    settings: IngestSettings, registry: CollectorRegistry, faults: FaultPoints = NO_FAULTS
) -> AsyncIterator[IngestServices]:
    """Connect, and run ingest's background tasks; on leaving, what was taken in is written first.

    Raises StartError when Redis is out of reach or too old.
    """
    clock, keys = faults.clock, RedisKeys(settings.redis_key_prefix)
    proxies = trusted_proxies(settings.trusted_proxies, settings.proxy_header)
    redis = connect(settings.redis_url, socket_timeout_seconds=APPEND_SECONDS)
    looking_up = connect(settings.redis_url, socket_timeout_seconds=LOOK_UP_SECONDS)
    watching = connect(settings.redis_url, socket_timeout_seconds=LOOK_SECONDS, max_connections=1)
    readiness: Readiness | None = None
    try:
        await check_server(redis, settings.redis_url, ingest_commands(keys))
        metrics = IngestMetrics(registry)
        projection, ids = TokenProjection(looking_up, keys), PostIds()
        cache = TokenCache(projection, clock, metrics, settings.stale_token_seconds)
        reasons = Reasons(clock, metrics)
        if settings.submission_disabled:
            reasons.put(SUBMISSION_DISABLED, "HEADRACE_SUBMISSION_DISABLED is true")
        backpressure = Backpressure(_marks(settings), clock, metrics, reasons)
        shards = Shards(looking_up, keys, settings.shards)
        await _look_at(shards, metrics)
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
        await readiness.look()
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(vital("evictions", cache.follow()))
            sharding = tasks.create_task(vital("shards", _keep_looking_at(shards, metrics)))
            looking = tasks.create_task(vital("readiness", readiness.keep_looking()))
            senders, turns = KnownSenders(cache, clock), BoundedExecutor()
            throttle = Throttle(RequestCounters(looking_up, keys), settings.request_limit, clock)
            await throttle.warn_if_limits_differ()
            try:
                async with queue.open():
                    yield IngestServices(
                        settings,
                        proxies,
                        clock,
                        ids,
                        cache,
                        FailedLookups(clock, proxies, settings.request_limit),
                        senders,
                        backpressure,
                        queue,
                        Heartbeats(looking_up, keys, backpressure.limit_bytes),
                        bodies_within(settings.body_limit_bytes),
                        turns,
                        StrictChecks(settings.body_limit_bytes, settings.max_event_age_days, turns),
                        reasons,
                        readiness,
                        metrics,
                        throttle,
                    )
            finally:
                await cancelled(following, looking, sharding)
    finally:
        if readiness is not None:
            await readiness.close()
        await watching.aclose()
        await looking_up.aclose()
        await redis.aclose()


async def _keep_looking_at(shards: Shards, metrics: IngestMetrics) -> None:
    while True:
        await asyncio.sleep(FOLLOW_SECONDS)
        await _look_at(shards, metrics)


async def _look_at(shards: Shards, metrics: IngestMetrics) -> None:
    """While Redis does not tell, or has no room for a new stream, the last number stays."""
    try:
        await shards.follow()
    except (BrokerUnavailable, BrokerFull):
        pass  # which is a reason of the readiness
    except Exception:  # noqa: BLE001 - the loop must survive; counted and logged
        metrics.background_failures.labels("shards").inc()
        _log.exception("a look at the number of shards failed")


def _marks(settings: IngestSettings) -> Marks:
    return Marks(
        memory_share=settings.queue_high_percent / 100,
        disk=Path(settings.queue_disk) if settings.queue_disk else None,
        disk_free_bytes=settings.queue_disk_free_bytes,
    )

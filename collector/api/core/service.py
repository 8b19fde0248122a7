"""The parts of the api process, which handlers reach through the application."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
from aiohttp import web
from redis.asyncio import Redis

from collector.api.core.live import LiveEvents
from collector.api.core.passwords import Passwords, open_passwords
from collector.api.core.retention import Retention
from collector.api.settings import ApiSettings
from collector.broker.connection import check_server, connect, watch_connections
from collector.broker.counters.login_counters import LoginCounters
from collector.broker.counters.request_counters import RequestCounters
from collector.broker.errors import BrokerFull, BrokerUnavailable
from collector.broker.keys import RedisKeys
from collector.broker.live_feed import LiveFeed
from collector.broker.permissions import api_commands
from collector.broker.queue.queue_load import check_writable
from collector.broker.queue.queue_look import QueueLook
from collector.broker.token_projection import TokenProjection, is_fresh
from collector.database.errors import DatabaseUnavailable
from collector.database.pool import close_pool, connected, create_pool, watch_pool
from collector.database.schema.migrations import check_migrated
from collector.domain.ids import PostIds
from collector.domain.reasons import QUEUE_FULL, QUEUE_UNAVAILABLE, TOKENS, explain_reason
from collector.http.client_address import TrustedProxies, trusted_proxies
from collector.http.failed_lookups import FailedLookups
from collector.http.health import Check
from collector.http.throttle import Throttle
from collector.process.clock import Clock, SystemClock
from collector.process.fair_semaphore import FairSemaphore
from collector.process.metrics import ApiMetrics, ProcessMetrics

_STATEMENT_TIMEOUT_SECONDS: Final = 10
_COMMAND_TIMEOUT_SECONDS: Final = 11.0
"""For a Postgres that does not respond at all: clients get a 503 before their own timeout.

Closing the connection then takes three more seconds, which must be over before a search times out as a whole.
"""
_SEARCH_BOUNDS: Final = {"temp_file_limit": "512MB", "log_min_error_statement": "fatal"}
"""Bounds of what a search writes to Postgres's disk: temporary files, and its SQL to the log if it fails.

That SQL may have 700 KB, and the log no bound. The api logs such a search in one line.
"""
_REDIS_TIMEOUT_SECONDS: Final = 2.0
_CONNECTIONS_PER_SEARCH_SLOT: Final = 2
"""A search may occupy a connection and a core of Postgres for seconds: the other half is for all else."""
_THIS_MACHINE: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_SEARCH_WAIT_SECONDS: Final = 5.0
_TOO_MANY_SEARCHES: Final = "Too many searches are running; please try again in a moment."
_TOO_MANY_CHECKS: Final = "Too many filters are being checked; please try again in a moment."
_CHECKS_WAITING: Final = 32
"""Of one organization: a large filter takes 50 ms of a core."""


@dataclass(frozen=True, slots=True)
class Api:
    """Everything that a handler needs."""

    settings: ApiSettings
    clock: Clock
    pool: asyncpg.Pool
    redis: Redis
    keys: RedisKeys
    retention: Retention
    projection: TokenProjection
    queue_look: QueueLook
    login_counters: LoginCounters
    trusted_proxies: TrustedProxies
    passwords: Passwords
    metrics: ApiMetrics
    throttle: Throttle
    failed_lookups: FailedLookups
    search_slots: FairSemaphore
    filter_checks: FairSemaphore
    live: LiveEvents

    @property
    def oldest_kept(self) -> datetime:
        """The time of acceptance before which events are no longer kept."""
        return self.clock.now() - timedelta(days=self.retention.days)

    def new_id(self) -> UUID:
        """A new id, which sorts by time."""
        return UUID(bytes=PostIds().next(self.clock.now_ms()))

    @property
    def checks(self) -> dict[str, Check]:
        """The health checks by name. Redis is not one of them: without it the api still serves reads."""
        return {"database": self.database_problem}

    @property
    def queue_checks(self) -> dict[str, Check]:
        """The checks of whether ingest accepts events, as far as this process can see."""
        return {
            QUEUE_UNAVAILABLE.name: self.queue_problem,
            QUEUE_FULL.name: self.queue_memory_problem,
            TOKENS.name: self.projection_problem,
        }

    async def queue_problem(self) -> str | None:
        """Why the queue cannot be written to, unless it is full."""
        try:
            await check_writable(self.redis, self.keys)
        except BrokerFull:
            return None  # reported by `queue_memory_problem`
        except BrokerUnavailable as error:
            return explain_reason(QUEUE_UNAVAILABLE, str(error))
        return None

    async def queue_memory_problem(self) -> str | None:
        """How full the queue is, if it is too full; None while Redis is unavailable."""
        try:
            await check_writable(self.redis, self.keys)
        except BrokerFull as error:
            return explain_reason(QUEUE_FULL, str(error))
        except BrokerUnavailable:
            return None
        return None

    async def projection_problem(self) -> str | None:
        """That the token projection is not fresh; None while Redis is unavailable."""
        try:
            age = await TokenProjection(self.redis, self.keys).swept_seconds_ago()
        except BrokerUnavailable:
            return None
        return None if is_fresh(age) else explain_reason(TOKENS)

    async def database_problem(self) -> str | None:
        """Why Postgres does not answer."""
        try:
            async with connected(self.pool) as connection:
                await connection.fetchval("SELECT 1")
        except DatabaseUnavailable as error:
            return f"Postgres is unavailable: {error}"
        return None


API: Final = web.AppKey("api", Api)


def searches_beside_others(database_url: str) -> int | None:
    """How many searches of one organization run while others search; None if we do not know Postgres's cores.

    On this machine it shares them with ingest and the worker: half of them, so that the rest is for others.
    """
    if urlsplit(database_url).hostname not in _THIS_MACHINE:
        return None
    return max(1, len(os.sched_getaffinity(0)) // 2)


@asynccontextmanager
async def open_api(settings: ApiSettings, process_metrics: ProcessMetrics) -> AsyncIterator[Api]:
    """Connect to Postgres and Redis for the duration of the block.

    Raises StartError if one of them is out of reach or too old, the database is not migrated, or a setting is
    wrong.
    """
    proxies = trusted_proxies(settings.trusted_proxies, settings.proxy_header)
    search_slots = max(1, settings.database_connections // _CONNECTIONS_PER_SEARCH_SLOT)
    async with AsyncExitStack() as stack:
        pool = await create_pool(
            settings.database_url,
            max_size=settings.database_connections,
            application_name="headrace-api",
            statement_timeout_seconds=_STATEMENT_TIMEOUT_SECONDS,
            command_timeout_seconds=_COMMAND_TIMEOUT_SECONDS,
            privileged=_SEARCH_BOUNDS,
        )
        stack.push_async_callback(close_pool, pool)
        watch_pool(pool, "postgres_api", process_metrics)
        await check_migrated(pool)
        retention = Retention(pool, settings.retention_days)
        await stack.enter_async_context(retention.followed())
        redis = connect(settings.redis_url, socket_timeout_seconds=_REDIS_TIMEOUT_SECONDS)
        stack.push_async_callback(redis.aclose)
        watch_connections(redis, "redis_api", process_metrics)
        clock, keys = SystemClock(), RedisKeys(settings.redis_key_prefix)
        await check_server(redis, settings.redis_url, api_commands(keys))
        live = LiveEvents(LiveFeed(redis, keys))
        await stack.enter_async_context(live.followed())
        metrics = ApiMetrics(process_metrics.registry)
        slots = FairSemaphore(
            search_slots,
            wait_seconds=_SEARCH_WAIT_SECONDS,
            refusal=_TOO_MANY_SEARCHES,
            beside_others=searches_beside_others(settings.database_url),
        )
        metrics.search_slots.labels("in_use").set_function(lambda: search_slots - slots.free)
        metrics.search_slots.labels("free").set_function(lambda: slots.free)
        metrics.searches_waiting.set_function(lambda: slots.waiting)
        yield Api(
            settings=settings,
            clock=clock,
            pool=pool,
            redis=redis,
            keys=keys,
            retention=retention,
            projection=TokenProjection(redis, keys),
            queue_look=QueueLook(redis, keys),
            login_counters=LoginCounters(redis, keys),
            trusted_proxies=proxies,
            passwords=stack.enter_context(open_passwords()),
            metrics=metrics,
            throttle=Throttle(RequestCounters(redis, keys), settings.request_limit, clock),
            failed_lookups=FailedLookups(clock, proxies, settings.request_limit),
            search_slots=slots,
            filter_checks=FairSemaphore(
                1,
                wait_seconds=_SEARCH_WAIT_SECONDS,
                refusal=_TOO_MANY_CHECKS,
                waiting_per_client=_CHECKS_WAITING,
            ),
            live=live,
        )

"""The api's parts, put together: what its handlers reach through the application."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg
from aiohttp import web
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from collector.api.core.passwords import Passwords, open_passwords
from collector.api.core.retention import Retention
from collector.api.core.search_slots import FairSemaphore
from collector.api.settings import ApiSettings
from collector.broker.connection import check_server, connect
from collector.broker.errors import BrokerFull, BrokerUnavailable
from collector.broker.keys import RedisKeys
from collector.broker.login_counters import LoginCounters
from collector.broker.permissions import api_commands
from collector.broker.queue_load import check_writable
from collector.broker.queue_look import QueueLook
from collector.broker.request_counters import RequestCounters
from collector.broker.token_projection import TokenProjection, is_fresh
from collector.database.errors import DatabaseUnavailable
from collector.database.pool import close_pool, connected, create_pool
from collector.database.schema.migrations import check_migrated
from collector.domain.ids import PostIds
from collector.domain.reasons import QUEUE_FULL, QUEUE_UNAVAILABLE, TOKENS, explain_reason
from collector.http.client_address import TrustedProxies, trusted_proxies
from collector.http.health import Check
from collector.http.throttle import Throttle
from collector.process.clock import Clock, SystemClock
from collector.process.metrics import ApiMetrics

_STATEMENT_TIMEOUT_SECONDS: Final = 10
_COMMAND_TIMEOUT_SECONDS: Final = 11.0
"""For a Postgres that says nothing at all: whoever reads has his 503 before he gives up himself.

To give its connection up then takes three seconds, which must be over before a search is given up as a whole.
"""
_REDIS_TIMEOUT_SECONDS: Final = 2.0
_SEARCHES_SHARE: Final = 2
"""One connection in so many may be searching."""


@dataclass(frozen=True, slots=True)
class Api:
    """Everything that a request for reading or managing needs."""

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
    search_slots: FairSemaphore

    @property
    def oldest_kept(self) -> datetime:
        """What was accepted before is no longer kept."""
        return self.clock.now() - timedelta(days=self.retention.days)

    def new_id(self) -> UUID:
        """An id for something new."""
        return UUID(bytes=PostIds().next(self.clock.now_ms()))

    @property
    def checks(self) -> dict[str, Check]:
        """By name, for the health route. Without Redis the api still reads, so that is no reason to stop."""
        return {"database": self._database}

    @property
    def queue_checks(self) -> dict[str, Check]:
        """Whether events are taken, as far as can be seen from here: what ingest alone knows is not in it."""
        return {
            QUEUE_UNAVAILABLE.name: self._queue,
            QUEUE_FULL.name: self._room,
            TOKENS.name: self._tokens,
        }

    async def _queue(self) -> str | None:
        try:
            await check_writable(self.redis, self.keys)
        except BrokerFull:
            return None  # which is what the next one says
        except BrokerUnavailable as error:
            return explain_reason(QUEUE_UNAVAILABLE, str(error))
        return None

    async def _room(self) -> str | None:
        try:
            await check_writable(self.redis, self.keys)
        except BrokerFull as error:
            return explain_reason(QUEUE_FULL, str(error))
        except BrokerUnavailable:
            return None
        return None

    async def _tokens(self) -> str | None:
        try:
            age = await TokenProjection(self.redis, self.keys).swept_seconds_ago()
        except BrokerUnavailable:
            return None
        return None if is_fresh(age) else explain_reason(TOKENS)

    async def _database(self) -> str | None:
        try:
            async with connected(self.pool) as connection:
                await connection.fetchval("SELECT 1")
        except DatabaseUnavailable as error:
            return f"Postgres is unavailable: {error}"
        return None


API: Final = web.AppKey("api", Api)


@asynccontextmanager
async def open_api(settings: ApiSettings, registry: CollectorRegistry) -> AsyncIterator[Api]:
    """Connect to Postgres and Redis, inside the block.

    Raises StartError when one of them is out of reach or too old, the database is not migrated, or a setting
    is wrong.
    """
    proxies = trusted_proxies(settings.trusted_proxies, settings.proxy_header)
    async with AsyncExitStack() as stack:
        pool = await create_pool(
            settings.database_url,
            max_size=settings.database_connections,
            application_name="headrace-api",
            statement_timeout_seconds=_STATEMENT_TIMEOUT_SECONDS,
            command_timeout_seconds=_COMMAND_TIMEOUT_SECONDS,
        )
        stack.push_async_callback(close_pool, pool)
        await check_migrated(pool)
        retention = Retention(pool, settings.retention_days)
        await stack.enter_async_context(retention.followed())
        redis = connect(settings.redis_url, socket_timeout_seconds=_REDIS_TIMEOUT_SECONDS)
        stack.push_async_callback(redis.aclose)
        clock, keys = SystemClock(), RedisKeys(settings.redis_key_prefix)
        await check_server(redis, settings.redis_url, api_commands(keys))
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
            metrics=ApiMetrics(registry),
            throttle=Throttle(RequestCounters(redis, keys), settings.request_limit, clock),
            search_slots=_search_slots(settings.database_connections),
        )


def _search_slots(connections: int) -> FairSemaphore:
    """For all but one of the turns there is somebody who may have them all; the last one is for others."""
    at_once = max(1, connections // _SEARCHES_SHARE)
    return FairSemaphore(at_once, max(1, at_once - 1))

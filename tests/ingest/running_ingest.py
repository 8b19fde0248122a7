"""An ingest process on a real port, and its queue."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import aiohttp
from aiohttp import ClientSession
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from collector.broker.connection import connect
from collector.broker.keys import LANES, RedisKeys
from collector.broker.queue.post_stream import PostStream
from collector.broker.queue.shards import Shards
from collector.broker.token_projection import TokenProjection
from collector.domain.access.projection import Projection
from collector.domain.post import Post
from collector.domain.reasons import CONNECTIONS
from collector.http.health import add_health
from collector.http.server import Address, application, listen
from collector.ingest.app import add_ingest
from collector.ingest.services import open_ingest
from collector.ingest.settings import IngestSettings
from collector.process.clock import SystemClock
from collector.process.faults import FaultPoints
from collector.process.metrics import ProcessMetrics
from tests.clients.traffic.raw_http import request_of
from tests.support.documented import check_answer
from tests.support.factories import CLIENT_TOKEN

JSON = {"Content-Type": "application/json"}
BEARER = {"Authorization": f"Bearer {CLIENT_TOKEN}"}


def raw_post(*headers: str, body: bytes = b"", target: str = "/api/v2/events") -> bytes:
    """The bytes of a post with the client token, up to where it stops."""
    known = ("Host: x", "Content-Type: application/json", f"Authorization: Bearer {CLIENT_TOKEN}")
    return request_of(f"POST {target} HTTP/1.1", *known, *headers, body=body)


class RunningIngest:
    """The running ingest process, and requests to it."""

    def __init__(self, session: ClientSession, redis: Redis, keys: RedisKeys, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.session = session
        self.redis = redis
        self.port = port
        self.projection = TokenProjection(redis, keys)
        shards = Shards(redis, keys)
        self._lanes = [PostStream(redis, keys, shards, lane=lane) for lane in range(LANES)]

    async def post(self, path: str = "/api/v2/events", **options: Any) -> aiohttp.ClientResponse:
        """Post; by default with a valid body and headers."""
        options = {"data": b'{"message":"hi"}', "headers": JSON | BEARER} | options
        return await self.request("POST", path, **options)

    async def request(self, method: str, path: str, **options: Any) -> aiohttp.ClientResponse:
        """Any request, by default with the client token; the body can still be read."""
        options = {"headers": BEARER} | options
        async with self.session.request(method, self.url + path, **options) as response:
            body = await response.read()
            content_type = response.headers.get("Content-Type", "") if body else ""
            check_answer(method, path, response.status, content_type, body)
            return response

    async def ready(self) -> tuple[int, dict[str, Any]]:
        """The answer of the readiness route."""
        async with self.session.get(self.url + "/health/ready") as response:
            return response.status, await response.json()

    async def queued(self) -> list[Post]:
        """The queued posts that have not been returned yet, lane by lane."""
        posts: list[Post] = []
        for stream in self._lanes:
            await stream.ensure_group()
            entries = [entry.unpacked() for entry in await stream.read("test", 100, 1)]
            posts += [post for entry in entries if entry.batch for post in entry.batch.posts]
        return posts

    async def raw(self, request: bytes) -> bytes:
        """Send bytes, and read everything until the server closes."""
        async with asyncio.timeout(10):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.write(request)
            await writer.drain()
            answer = await reader.read()
            writer.close()
            await writer.wait_closed()
            return answer


@asynccontextmanager
async def running_ingest(
    redis_url: str, key_prefix: str, projection: Projection | None, **settings: Any
) -> AsyncIterator[RunningIngest]:
    """Run ingest on a free port with a freshly swept projection; with None, Redis stays as it is.

    `clock` can be passed among the settings.
    """
    faults = FaultPoints(clock=settings.pop("clock", None) or SystemClock())
    redis, keys, registry = (
        connect(redis_url, socket_timeout_seconds=5),
        RedisKeys(key_prefix),
        CollectorRegistry(),
    )

    async def load() -> Projection:
        return projection or Projection()

    if projection is not None:
        await TokenProjection(redis, keys).sweep(load)
    accepted = {"durability": os.environ.get("HEADRACE_DURABILITY", "strict")}
    values = {"redis_url": redis_url, "redis_key_prefix": key_prefix} | accepted | settings
    async with (
        open_ingest(IngestSettings(**values), ProcessMetrics(registry), faults) as ingest,
        ClientSession() as session,
    ):
        app = application()
        add_ingest(app, ingest)
        add_health(app, ingest.readiness.checks, registry)
        listener = await listen(
            app,
            Address("127.0.0.1", 0),
            connections=ingest.settings.connections,
            proxies=ingest.trusted_proxies,
            on_refused=partial(ingest.reasons.note, CONNECTIONS),
        )
        yield RunningIngest(session, redis, keys, listener.port)
        await listener.close()
    await redis.aclose()

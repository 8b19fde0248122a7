"""Announcing what was stored, to the pages that count it."""

import asyncio
from collections.abc import Mapping

import asyncpg
import pytest

from collector.broker.connection import connect
from collector.broker.keys import RedisKeys
from collector.broker.live_feed import LiveFeed
from collector.database.writing.store import BatchStore
from tests.database.rows import OTHER_PROJECT, PROJECT, an_event, normalized
from tests.support.waiting import until
from worker.announcing import AnnouncingStore

pytestmark = pytest.mark.integration


async def test_stored_events_are_announced_once_by_project(
    pool: asyncpg.Pool, redis_url: str, key_prefix: str
) -> None:
    """Those of several transactions in one message; a replay stores nothing and counts nothing."""
    redis = connect(redis_url, socket_timeout_seconds=5)
    feed, heard = LiveFeed(redis, RedisKeys(key_prefix)), list[Mapping[bytes, int]]()

    async def listen() -> None:
        async for stored in LiveFeed(redis, RedisKeys(key_prefix)).follow():
            if stored:  # the first only says that it is subscribed
                heard.append(stored)

    listening = asyncio.create_task(listen())
    try:

        async def is_listening() -> bool:
            await feed.publish({b"probe": 1})
            return bool(heard)

        await until(is_listening, 20, "the subscription")
        store = AnnouncingStore(BatchStore(pool), feed)
        first = normalized(an_event(), an_event(project_id=OTHER_PROJECT))
        for batch in (first, first, normalized(an_event())):
            await store.save([batch])
        for _ in range(2):
            await store.flush()
        await feed.publish({b"end": 1})
        await until(lambda: heard[-1] == {b"end": 1}, 20, "the last message")
    finally:
        listening.cancel()
        await redis.aclose()
    announced = [stored for stored in heard if b"probe" not in stored and b"end" not in stored]
    assert announced == [{PROJECT.bytes: 2, OTHER_PROJECT.bytes: 1}]


async def test_storing_does_not_wait_for_the_channel(pool: asyncpg.Pool) -> None:
    """It sends nothing: that is up to the flush, which never fails."""
    connections: list[asyncio.StreamWriter] = []

    def never_answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)

    server = await asyncio.start_server(never_answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    redis = connect(f"redis://127.0.0.1:{port}", socket_timeout_seconds=0.1)
    try:
        store = AnnouncingStore(BatchStore(pool), LiveFeed(redis, RedisKeys("away:")))
        assert (await store.save([normalized(an_event())])).stored == 1
        assert not connections
        await store.flush()
        assert connections
    finally:
        await redis.aclose()
        for connection in connections:
            connection.close()
        server.close()
        await server.wait_closed()

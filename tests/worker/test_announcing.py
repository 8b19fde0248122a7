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


async def test_each_transaction_is_announced_once_by_project(
    pool: asyncpg.Pool, redis_url: str, key_prefix: str
) -> None:
    """After its commit; a replay, which stores nothing, announces nothing."""
    redis = connect(redis_url, socket_timeout_seconds=5)
    feed, heard = LiveFeed(redis, RedisKeys(key_prefix)), list[Mapping[bytes, int]]()

    async def listen() -> None:
        async for stored in LiveFeed(redis, RedisKeys(key_prefix)).follow():
            heard.append(stored)

    listening = asyncio.create_task(listen())
    try:

        async def is_listening() -> bool:
            await feed.publish({b"probe": 1})
            return bool(heard)

        await until(is_listening, 20, "the subscription")
        store = AnnouncingStore(BatchStore(pool), feed)
        batch = normalized(an_event(), an_event(), an_event(project_id=OTHER_PROJECT))
        for _ in range(2):
            await store.save([batch])
        await feed.publish({b"end": 1})
        await until(lambda: heard[-1] == {b"end": 1}, 20, "the last message")
    finally:
        listening.cancel()
        await redis.aclose()
    announced = [stored for stored in heard if b"probe" not in stored and b"end" not in stored]
    assert announced == [{PROJECT.bytes: 2, OTHER_PROJECT.bytes: 1}]


async def test_a_channel_that_is_away_holds_up_nothing(pool: asyncpg.Pool) -> None:
    redis = connect("redis://127.0.0.1:1", socket_timeout_seconds=1)
    try:
        store = AnnouncingStore(BatchStore(pool), LiveFeed(redis, RedisKeys("away:")))
        assert (await store.save([normalized(an_event())])).stored == 1
    finally:
        await redis.aclose()

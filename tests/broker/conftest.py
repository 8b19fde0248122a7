"""A real Valkey for the broker's tests."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from collector.broker.connection import connect
from collector.broker.keys import RedisKeys


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """A client set up as the processes do."""
    client = connect(redis_url, socket_timeout_seconds=5)
    yield client
    await client.aclose()


@pytest.fixture
def keys(key_prefix: str) -> RedisKeys:
    """Keys with this test's prefix."""
    return RedisKeys(key_prefix)

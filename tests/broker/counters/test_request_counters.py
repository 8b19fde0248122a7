"""Requests are counted until the next quarter of an hour, over all processes."""

import pytest
from redis.asyncio import Redis

from collector.broker.connection import connect
from collector.broker.counters.request_counters import RequestCounters
from collector.broker.errors import BrokerUnavailable
from collector.broker.keys import RedisKeys

pytestmark = pytest.mark.integration

NOW = 900 * 2_000_000 + 840
"""A minute before a quarter hour."""


async def test_each_caller_is_counted_over_all_processes(redis: Redis, keys: RedisKeys) -> None:
    here, there = RequestCounters(redis, keys), RequestCounters(redis, keys)

    assert [await here.count("ip:192.0.2.1", NOW), await there.count("ip:192.0.2.1", NOW)] == [1, 2]
    assert await here.count("ip:192.0.2.2", NOW) == 1


async def test_counts_can_be_read_without_counting(redis: Redis, keys: RedisKeys) -> None:
    """For several callers in the same quarter of an hour."""
    counters = RequestCounters(redis, keys)
    for _ in range(3):
        await counters.count("organization:1", NOW)

    for _ in range(2):
        assert await counters.counted(["organization:2", "organization:1"], NOW) == [0, 3]
    assert await counters.counted(["organization:1"], NOW + 60) == [0]


async def test_a_new_quarter_of_an_hour_begins_at_zero(redis: Redis, keys: RedisKeys) -> None:
    """And the keys of the old one expire."""
    counters = RequestCounters(redis, keys)
    await counters.count("user:1", NOW)

    assert await counters.count("user:1", NOW + 60) == 1
    lives = [await redis.ttl(key) async for key in redis.scan_iter(match=f"{keys.prefix}*")]
    assert sorted(-(-life // 60) for life in lives) == [1, 15]


async def test_an_unreachable_counter_raises(keys: RedisKeys) -> None:
    """The caller decides what that means."""
    gone = connect("redis://127.0.0.1:1/0", socket_timeout_seconds=1)
    try:
        with pytest.raises(BrokerUnavailable):
            await RequestCounters(gone, keys).count("user:1", NOW)
    finally:
        await gone.aclose()

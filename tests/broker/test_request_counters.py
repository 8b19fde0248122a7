"""Requests are counted until the next quarter hour, by all processes together."""

import pytest
from redis.asyncio import Redis

from collector.broker.connection import connect
from collector.broker.errors import BrokerUnavailable
from collector.broker.keys import RedisKeys
from collector.broker.request_counters import RequestCounters

pytestmark = pytest.mark.integration

NOW = 900 * 2_000_000 + 840
"""A minute before a quarter hour."""


async def test_each_counts_for_itself_in_all_processes(redis: Redis, keys: RedisKeys) -> None:
    """What another process has counted counts, too."""
    here, there = RequestCounters(redis, keys), RequestCounters(redis, keys)

    assert [await here.count("ip:192.0.2.1", NOW), await there.count("ip:192.0.2.1", NOW)] == [1, 2]
    assert await here.count("ip:192.0.2.2", NOW) == 1


async def test_what_somebody_has_made_is_read_without_counting(redis: Redis, keys: RedisKeys) -> None:
    """Of several at once, in the same quarter hour."""
    counters = RequestCounters(redis, keys)
    for _ in range(3):
        await counters.count("organization:1", NOW)

    for _ in range(2):
        assert await counters.counted(["organization:2", "organization:1"], NOW) == [0, 3]
    assert await counters.counted(["organization:1"], NOW + 60) == [0]


async def test_a_new_quarter_hour_begins_at_nothing(redis: Redis, keys: RedisKeys) -> None:
    """And nothing of the old one stays for ever."""
    counters = RequestCounters(redis, keys)
    await counters.count("user:1", NOW)

    assert await counters.count("user:1", NOW + 60) == 1
    lives = [await redis.ttl(key) async for key in redis.scan_iter(match=f"{keys.prefix}*")]
    assert sorted(-(-life // 60) for life in lives) == [1, 15]


async def test_a_counter_out_of_reach_is_told(keys: RedisKeys) -> None:
    """Whoever asks decides what that means."""
    gone = connect("redis://127.0.0.1:1/0", socket_timeout_seconds=1)
    try:
        with pytest.raises(BrokerUnavailable):
            await RequestCounters(gone, keys).count("user:1", NOW)
    finally:
        await gone.aclose()

"""Tries to log in are counted until the next quarter hour."""

from datetime import UTC, datetime

import pytest
from redis.asyncio import Redis

from collector.broker.keys import RedisKeys
from collector.broker.login_counters import LoginCounters, Tries

pytestmark = pytest.mark.integration

NOW = datetime(2026, 1, 15, 12, 10, 30, tzinfo=UTC)
EMAIL = "me@example.com"


@pytest.fixture
def counters(redis: Redis, keys: RedisKeys) -> LoginCounters:
    """Nobody has tried yet."""
    return LoginCounters(redis, keys)


async def _seconds_left(redis: Redis, keys: RedisKeys) -> list[int]:
    names = [name async for name in redis.scan_iter(match=f"{keys.prefix}*")]
    return [await redis.ttl(name) for name in names]


async def test_each_try_counts_for_its_address_and_its_ip(counters: LoginCounters) -> None:
    """Each on its own."""
    assert await counters.count(EMAIL, "192.0.2.1", NOW) == Tries(1, 1)
    assert await counters.count(EMAIL, "192.0.2.2", NOW) == Tries(2, 1)
    assert await counters.count("you@example.com", "192.0.2.1", NOW) == Tries(1, 2)
    assert await counters.count("\udcff", "", NOW) == Tries(1, 1)


async def test_a_success_takes_back_all_of_the_address_and_one_of_the_ip(counters: LoginCounters) -> None:
    """A colleague's wrong tries stay counted."""
    await counters.count("you@example.com", "192.0.2.1", NOW)
    await counters.count(EMAIL, "192.0.2.1", NOW)
    await counters.count(EMAIL, "192.0.2.1", NOW)

    await counters.forgive(EMAIL, "192.0.2.1", NOW)

    assert await counters.count(EMAIL, "192.0.2.1", NOW) == Tries(1, 3)


async def test_a_try_that_found_nothing_out_is_taken_back(counters: LoginCounters) -> None:
    """Those before it stay counted."""
    for _ in range(2):
        await counters.count(EMAIL, "192.0.2.1", NOW)

    await counters.take_back(EMAIL, "192.0.2.1", NOW)

    assert await counters.count(EMAIL, "192.0.2.1", NOW) == Tries(2, 2)


async def test_counters_end_with_the_quarter_hour(
    counters: LoginCounters, redis: Redis, keys: RedisKeys
) -> None:
    """Also one that a success makes because the counter has just ended."""
    await counters.count(EMAIL, "192.0.2.1", NOW)
    await counters.forgive(EMAIL, "192.0.2.2", NOW)

    left = await _seconds_left(redis, keys)

    assert len(left) == 2
    assert all(250 < seconds <= 270 for seconds in left)


async def test_no_address_is_readable_in_redis(
    counters: LoginCounters, redis: Redis, keys: RedisKeys
) -> None:
    """Nor does its length matter."""
    await counters.count(EMAIL, "192.0.2.1", NOW)
    await counters.forgive("you@example.com", "192.0.2.1", NOW)

    names = [name async for name in redis.scan_iter(match=f"{keys.prefix}*")]

    assert len(names) == 2
    assert not any(b"example" in name for name in names)


async def test_other_things_are_counted_until_the_full_hour(
    counters: LoginCounters, redis: Redis, keys: RedisKeys
) -> None:
    """Each kind and each IP on its own."""
    assert [await counters.count_in_hour("sign_up", "192.0.2.1", NOW) for _ in range(2)] == [1, 2]
    assert await counters.count_in_hour("sign_up", "192.0.2.2", NOW) == 1
    assert await counters.count_in_hour("address_check", "192.0.2.1", NOW) == 1

    left = await _seconds_left(redis, keys)

    assert len(left) == 3
    assert all(2950 < seconds <= 2970 for seconds in left)

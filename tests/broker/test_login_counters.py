"""Attempts to log in are counted until the next quarter of an hour."""

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
    """No attempts yet."""
    return LoginCounters(redis, keys)


async def _seconds_left(redis: Redis, keys: RedisKeys) -> list[int]:
    names = [name async for name in redis.scan_iter(match=f"{keys.prefix}*")]
    return [await redis.ttl(name) for name in names]


async def test_each_attempt_counts_for_its_address_and_its_ip(counters: LoginCounters) -> None:
    """Separately."""
    assert await counters.count(EMAIL, "192.0.2.1", NOW) == Tries(1, 1)
    assert await counters.count(EMAIL, "192.0.2.2", NOW) == Tries(2, 1)
    assert await counters.count("you@example.com", "192.0.2.1", NOW) == Tries(1, 2)
    assert await counters.count("\udcff", "", NOW) == Tries(1, 1)


async def test_a_success_resets_the_address_and_takes_one_from_the_ip(counters: LoginCounters) -> None:
    """A colleague's failed attempts still count."""
    await counters.count("you@example.com", "192.0.2.1", NOW)
    await counters.count(EMAIL, "192.0.2.1", NOW)
    await counters.count(EMAIL, "192.0.2.1", NOW)

    await counters.forgive(EMAIL, "192.0.2.1", NOW)

    assert await counters.count(EMAIL, "192.0.2.1", NOW) == Tries(1, 3)


async def test_an_attempt_that_was_not_checked_is_taken_back(counters: LoginCounters) -> None:
    """Earlier ones still count."""
    for _ in range(2):
        await counters.count(EMAIL, "192.0.2.1", NOW)

    await counters.take_back(EMAIL, "192.0.2.1", NOW)

    assert await counters.count(EMAIL, "192.0.2.1", NOW) == Tries(2, 2)


async def test_counters_expire_with_the_quarter_of_an_hour(
    counters: LoginCounters, redis: Redis, keys: RedisKeys
) -> None:
    """Including one that a success creates just after the old one expired."""
    await counters.count(EMAIL, "192.0.2.1", NOW)
    await counters.forgive(EMAIL, "192.0.2.2", NOW)

    left = await _seconds_left(redis, keys)

    assert len(left) == 2
    assert all(250 < seconds <= 270 for seconds in left)


async def test_no_address_is_readable_in_redis(
    counters: LoginCounters, redis: Redis, keys: RedisKeys
) -> None:
    """Keys have the same length for any address."""
    await counters.count(EMAIL, "192.0.2.1", NOW)
    await counters.forgive("you@example.com", "192.0.2.1", NOW)

    names = [name async for name in redis.scan_iter(match=f"{keys.prefix}*")]

    assert len(names) == 2
    assert not any(b"example" in name for name in names)


async def test_other_actions_are_counted_until_the_full_hour(
    counters: LoginCounters, redis: Redis, keys: RedisKeys
) -> None:
    """Separately by kind and IP."""
    assert [await counters.count_in_hour("sign_up", "192.0.2.1", NOW) for _ in range(2)] == [1, 2]
    assert await counters.count_in_hour("sign_up", "192.0.2.2", NOW) == 1
    assert await counters.count_in_hour("address_check", "192.0.2.1", NOW) == 1

    left = await _seconds_left(redis, keys)

    assert len(left) == 3
    assert all(2950 < seconds <= 2970 for seconds in left)

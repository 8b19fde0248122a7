"""Attempts to log in are counted until the next quarter of an hour."""

from datetime import UTC, datetime, timedelta

import pytest
from redis.asyncio import Redis

from collector.broker.counters.login_counters import Attempt, LoginCounters
from collector.broker.keys import RedisKeys

pytestmark = pytest.mark.integration

NOW = datetime(2026, 1, 15, 12, 10, 30, tzinfo=UTC)
EMAIL = "me@example.com"
IP = "192.0.2.1"


@pytest.fixture
def counters(redis: Redis, keys: RedisKeys) -> LoginCounters:
    """No attempts yet."""
    return LoginCounters(redis, keys)


async def _seconds_left(redis: Redis, keys: RedisKeys) -> list[int]:
    names = [name async for name in redis.scan_iter(match=f"{keys.prefix}*")]
    return [await redis.ttl(name) for name in names]


async def fail(counters: LoginCounters, email: str = EMAIL, ip: str = IP, times: int = 1) -> Attempt:
    """Attempts with a wrong password; returns the last one."""
    for _ in range(times):
        attempt = await counters.count(email, ip, NOW)
    return attempt


async def log_in(counters: LoginCounters, ip: str = IP, now: datetime = NOW) -> None:
    """An attempt with the right password."""
    await counters.note_login(await counters.count(EMAIL, ip, now), now)


async def test_five_attempts_are_free_for_an_account(counters: LoginCounters) -> None:
    """From wherever they come."""
    for number in range(5):
        assert not (await fail(counters, ip=f"192.0.2.{number}")).is_denied

    assert (await fail(counters, ip="192.0.2.99")).is_denied
    assert not (await fail(counters, "you@example.com", "192.0.2.99")).is_denied
    assert not (await fail(counters, "\udcff", "")).is_denied


async def test_fifteen_attempts_are_free_from_an_ip(counters: LoginCounters) -> None:
    """Whichever account they name."""
    for number in range(15):
        assert not (await fail(counters, f"{number}@example.com")).is_denied

    assert (await fail(counters, "another@example.com")).is_denied
    assert not (await fail(counters, "another@example.com", "192.0.2.2")).is_denied


async def test_attempts_of_others_do_not_count_where_the_account_logged_in_lately(
    counters: LoginCounters,
) -> None:
    """There only the limit of the IP holds."""
    await log_in(counters)
    await fail(counters, ip="192.0.2.2", times=10)

    assert not (await fail(counters, times=15)).is_denied
    assert (await fail(counters)).is_denied
    assert (await fail(counters, ip="192.0.2.3")).is_denied


async def test_a_login_is_lately_for_thirty_days(counters: LoginCounters) -> None:
    """Each login begins them again."""
    await log_in(counters, now=NOW)
    await log_in(counters, now=NOW + timedelta(days=20))
    assert (await counters.count(EMAIL, IP, NOW + timedelta(days=49))).logged_in is not None

    assert (await counters.count(EMAIL, IP, NOW + timedelta(days=51))).logged_in is None


async def test_a_login_takes_back_its_own_attempt_only(counters: LoginCounters) -> None:
    """Wrong attempts stay counted: they may be a stranger's."""
    await fail(counters, times=4)
    await log_in(counters)
    await fail(counters, ip="192.0.2.2")

    assert (await fail(counters, ip="192.0.2.2")).is_denied


async def test_an_attempt_that_found_nothing_out_is_taken_back(counters: LoginCounters) -> None:
    """Those before it stay counted."""
    await fail(counters, times=4)
    for _ in range(20):
        await counters.take_back(await counters.count(EMAIL, IP, NOW), NOW)

    assert not (await fail(counters)).is_denied
    assert (await fail(counters)).is_denied


async def test_ips_are_forgotten_with_a_password(counters: LoginCounters) -> None:
    """From then on attempts count as from anywhere."""
    await log_in(counters)
    await counters.forget_ips(EMAIL)
    await fail(counters, times=5)

    assert (await fail(counters)).is_denied


async def test_the_ips_of_an_account_are_bounded(
    counters: LoginCounters, redis: Redis, keys: RedisKeys
) -> None:
    """The latest sixteen are kept."""
    for number in range(20):
        await log_in(counters, f"192.0.2.{number}", NOW + timedelta(seconds=number))

    (name,) = [name async for name in redis.scan_iter(match=f"{keys.prefix}*:ips:*")]
    assert await redis.zcard(name) == 16
    assert (await counters.count(EMAIL, "192.0.2.3", NOW)).logged_in is None
    assert (await counters.count(EMAIL, "192.0.2.4", NOW)).logged_in is not None


async def test_an_ip_beyond_its_limit_adds_no_counters(
    counters: LoginCounters, redis: Redis, keys: RedisKeys
) -> None:
    """Or a stranger could fill Redis with addresses."""
    for number in range(100):
        await fail(counters, f"{number}@example.com")

    assert len([name async for name in redis.scan_iter(match=f"{keys.prefix}*")]) == 16


async def test_counters_expire_with_the_quarter_of_an_hour(
    counters: LoginCounters, redis: Redis, keys: RedisKeys
) -> None:
    """Also one that a success makes because the counter has just ended."""
    attempt = await fail(counters)
    async for name in redis.scan_iter(match=f"{keys.prefix}*"):
        await redis.delete(name)
    await counters.take_back(attempt, NOW)

    left = await _seconds_left(redis, keys)

    assert len(left) == 2
    assert all(250 < seconds <= 270 for seconds in left)


async def test_no_address_is_readable_in_redis(
    counters: LoginCounters, redis: Redis, keys: RedisKeys
) -> None:
    """Nor does its length matter."""
    await fail(counters)
    await log_in(counters)

    names = [name async for name in redis.scan_iter(match=f"{keys.prefix}*")]

    assert len(names) == 3
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

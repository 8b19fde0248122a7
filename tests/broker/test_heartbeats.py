"""Heartbeats wait in Redis for a worker, one value for each session key."""

import time

import pytest
from redis.asyncio import Redis

from collector.broker.errors import BrokerUnavailable
from collector.broker.heartbeats import KEPT_MS, Heartbeats
from collector.broker.keys import Keys
from collector.domain.session import Beat
from collector.domain.session_key import digest_of_key
from tests.factories import PROJECT

pytestmark = pytest.mark.integration

USER = "jane@example.com"


@pytest.fixture
def beats(redis: Redis, keys: Keys) -> Heartbeats:
    """Nobody has beaten yet."""
    return Heartbeats(redis, keys)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000 - 5_000


def _beat(beaten_ms: int = 0, closed_ms: int = 0, key: str = USER) -> Beat:
    return Beat(PROJECT, digest_of_key(key), beaten_ms, closed_ms)


async def test_of_many_beats_the_latest_is_offered(beats: Heartbeats) -> None:
    """Whatever their order of arrival; a key takes the same room however often it beats."""
    now = _now_ms()
    for at in (now - 2000, now, now - 1000):
        assert await beats.beat(PROJECT, USER, at, closes=False)

    assert await beats.due(10) == [_beat(now)]


async def test_a_close_is_kept_beside_the_beats(beats: Heartbeats) -> None:
    """A beat after it is of the user's next session, and must not undo it."""
    now = _now_ms()
    await beats.beat(PROJECT, USER, now - 1000, closes=True)
    await beats.beat(PROJECT, USER, now, closes=False)

    assert await beats.due(10) == [_beat(now, now - 1000)]


async def test_keys_of_projects_are_apart(beats: Heartbeats) -> None:
    """The same user's name in two projects is two users."""
    other = b"\x09" * 16
    await beats.beat(PROJECT, USER, _now_ms(), closes=False)
    await beats.beat(other, USER, _now_ms(), closes=False)

    assert {beat.project_id for beat in await beats.due(10)} == {PROJECT, other}


async def test_a_key_is_found_however_it_is_padded(beats: Heartbeats) -> None:
    """Clients write the identity as it is; what is in Redis does not show it."""
    await beats.beat(PROJECT, f" {USER} ", _now_ms(), closes=False)

    assert (await beats.due(10))[0].digest == digest_of_key(USER)


async def test_what_is_forgotten_is_not_offered_again(beats: Heartbeats) -> None:
    """A session was told of it, and that is committed."""
    await beats.beat(PROJECT, USER, _now_ms(), closes=False)

    await beats.forget(await beats.due(10))

    assert await beats.due(10) == []


async def test_a_beat_in_between_is_not_forgotten(beats: Heartbeats) -> None:
    """The worker removes what it has told of, not what came meanwhile."""
    now = _now_ms()
    await beats.beat(PROJECT, USER, now - 1000, closes=False)
    read = await beats.due(10)
    await beats.beat(PROJECT, USER, now, closes=False)

    await beats.forget(read)

    assert await beats.due(10) == [_beat(now)]


async def test_a_beat_that_was_put_off_waits(beats: Heartbeats, redis: Redis, keys: Keys) -> None:
    """Its session is still in the stream; asking all the time would not bring it sooner."""
    now = _now_ms()
    await beats.beat(PROJECT, USER, now, closes=False)
    await beats.put_off(await beats.due(10))
    at_once = await beats.due(10)
    await redis.zadd(keys.heartbeats_due, {PROJECT + digest_of_key(USER): now})

    assert at_once == []
    assert await beats.due(10) == [_beat(now)]


async def test_a_new_beat_is_offered_though_the_last_one_was_put_off(beats: Heartbeats) -> None:
    """By now its session may be stored."""
    now = _now_ms()
    await beats.beat(PROJECT, USER, now - 1000, closes=False)
    await beats.put_off(await beats.due(10))

    await beats.beat(PROJECT, USER, now, closes=False)

    assert await beats.due(10) == [_beat(now)]


async def test_a_beat_that_nobody_took_in_time_is_gone(beats: Heartbeats, redis: Redis, keys: Keys) -> None:
    """It leaves nothing behind."""
    await beats.beat(PROJECT, USER, _now_ms() - KEPT_MS, closes=False)

    assert await beats.due(10) == []
    assert await redis.exists(keys.heartbeats, keys.heartbeats_due) == 0


async def test_beats_end_by_themselves_where_no_worker_runs(
    beats: Heartbeats, redis: Redis, keys: Keys
) -> None:
    """Both keys go two hours after the last beat."""
    await beats.beat(PROJECT, USER, _now_ms(), closes=False)

    for key in (keys.heartbeats, keys.heartbeats_due):
        assert KEPT_MS - 60_000 < await redis.pttl(key) <= KEPT_MS


async def test_a_moment_ahead_of_the_queues_clock_is_now(beats: Heartbeats) -> None:
    """A door whose clock is fast must not keep a session alive beyond its time."""
    await beats.beat(PROJECT, USER, _now_ms() + 3_600_000, closes=False)

    assert (await beats.due(10))[0].beaten_ms <= time.time_ns() // 1_000_000 + 1000


async def test_no_more_than_so_many_keys_are_kept(redis: Redis, keys: Keys) -> None:
    """Made-up keys are turned away; those that are there go on beating."""
    beats = Heartbeats(redis, keys, most_kept=2)
    now = _now_ms()
    kept = [await beats.beat(PROJECT, key, now - 1000, closes=False) for key in ("one", "two", "three")]

    assert kept == [True, True, False]
    assert await beats.beat(PROJECT, "one", now, closes=False)
    assert {beat.digest for beat in await beats.due(10)} == {digest_of_key("one"), digest_of_key("two")}


async def test_as_many_as_asked_for_are_offered(beats: Heartbeats) -> None:
    """The rest comes with the next question."""
    for number in range(5):
        await beats.beat(PROJECT, f"user {number}", _now_ms(), closes=False)

    first = await beats.due(3)
    await beats.forget(first)

    assert len(first) == 3
    assert len(await beats.due(3)) == 2


async def test_a_beat_is_told_when_the_queue_is_gone(keys: Keys) -> None:
    """In our words, so that the door can answer 503."""
    gone = Heartbeats(Redis(host="127.0.0.1", port=1), keys)

    with pytest.raises(BrokerUnavailable):
        await gone.beat(PROJECT, USER, _now_ms(), closes=False)

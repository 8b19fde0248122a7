"""Heartbeats wait in Redis for a worker: one value per session key."""

import asyncio

import pytest
from redis.asyncio import Redis

from collector.broker.errors import BrokerUnavailable
from collector.broker.heartbeats import BYTES_EACH, KEPT_MS, Heartbeats, max_session_keys
from collector.broker.keys import RedisKeys
from collector.domain.event.session_key import digest_of_key
from collector.domain.session.session import Beat
from tests.support.factories import PROJECT
from tests.support.real_clock import real_now

pytestmark = pytest.mark.integration

USER = "jane@example.com"


@pytest.fixture
def beats(redis: Redis, keys: RedisKeys) -> Heartbeats:
    """No heartbeats yet."""
    return Heartbeats(redis, keys)


def _now_ms() -> int:
    return round(real_now().timestamp() * 1000) - 5_000


def _beat(beaten_ms: int = 0, closed_ms: int = 0, key: str = USER) -> Beat:
    return Beat(PROJECT, digest_of_key(key), beaten_ms, closed_ms)


async def test_only_the_latest_beat_of_a_key_is_kept(beats: Heartbeats) -> None:
    """Whatever their order of arrival, so a key takes the same space however often it beats."""
    now = _now_ms()
    for at in (now - 2000, now, now - 1000):
        assert await beats.beat(PROJECT, USER, at, closes=False)

    assert await beats.due(10) == [_beat(now)]


async def test_a_close_is_kept_separately_from_the_beats(beats: Heartbeats) -> None:
    """A beat after it belongs to the user's next session and must not undo the close."""
    now = _now_ms()
    await beats.beat(PROJECT, USER, now - 1000, closes=True)
    await beats.beat(PROJECT, USER, now, closes=False)

    assert await beats.due(10) == [_beat(now, now - 1000)]


async def test_keys_of_projects_are_separate(beats: Heartbeats) -> None:
    """The same user name in two projects means two users."""
    other = b"\x09" * 16
    await beats.beat(PROJECT, USER, _now_ms(), closes=False)
    await beats.beat(other, USER, _now_ms(), closes=False)

    assert {beat.project_id for beat in await beats.due(10)} == {PROJECT, other}


async def test_a_key_is_found_however_it_is_padded(beats: Heartbeats) -> None:
    """Clients send the identity unchanged; it is not readable in Redis."""
    await beats.beat(PROJECT, f" {USER} ", _now_ms(), closes=False)

    assert (await beats.due(10))[0].digest == digest_of_key(USER)


async def test_an_applied_beat_is_not_offered_again(beats: Heartbeats) -> None:
    """Its session has been updated and committed."""
    await beats.beat(PROJECT, USER, _now_ms(), closes=False)

    await beats.forget(await beats.due(10))

    assert await beats.due(10) == []


async def test_a_beat_that_arrives_meanwhile_is_kept(beats: Heartbeats) -> None:
    """The worker removes what it has applied, not what came meanwhile."""
    now = _now_ms()
    await beats.beat(PROJECT, USER, now - 1000, closes=False)
    read = await beats.due(10)
    await beats.beat(PROJECT, USER, now, closes=False)

    await beats.forget(read)

    assert await beats.due(10) == [_beat(now)]


async def test_a_postponed_beat_waits(beats: Heartbeats, redis: Redis, keys: RedisKeys) -> None:
    """Its session is still in the stream; polling more often would not help."""
    now = _now_ms()
    await beats.beat(PROJECT, USER, now, closes=False)
    await beats.put_off(await beats.due(10))
    at_once = await beats.due(10)
    await redis.zadd(keys.heartbeats_due, {PROJECT + digest_of_key(USER): now})

    assert at_once == []
    assert await beats.due(10) == [_beat(now)]


async def test_the_older_a_beat_the_longer_it_waits(beats: Heartbeats, redis: Redis, keys: RedisKeys) -> None:
    """It is offered a few times in two hours, not each minute, and not after it has expired."""
    due = {}
    for minutes in (0, 10, 90):
        await beats.beat(PROJECT, f"{minutes}", _now_ms() - minutes * 60_000, closes=False)
    await beats.put_off(await beats.due(10))
    for minutes in (0, 10, 90):
        at = await redis.zscore(keys.heartbeats_due, PROJECT + digest_of_key(f"{minutes}"))
        due[minutes] = round((float(at or 0) - _now_ms()) / 60_000)

    assert due == {0: 1, 10: 10, 90: 30}


async def test_a_new_beat_is_offered_although_the_last_was_postponed(beats: Heartbeats) -> None:
    """Its session may be stored by now."""
    now = _now_ms()
    await beats.beat(PROJECT, USER, now - 1000, closes=False)
    await beats.put_off(await beats.due(10))

    await beats.beat(PROJECT, USER, now, closes=False)

    assert await beats.due(10) == [_beat(now)]


async def test_a_beat_that_is_not_applied_in_time_expires(
    beats: Heartbeats, redis: Redis, keys: RedisKeys
) -> None:
    """Nothing of it remains."""
    await beats.beat(PROJECT, USER, _now_ms() - KEPT_MS, closes=False)

    assert await beats.due(10) == []
    assert await redis.exists(keys.heartbeats, keys.heartbeats_due) == 0


async def test_without_a_worker_beats_expire(beats: Heartbeats, redis: Redis, keys: RedisKeys) -> None:
    """All their keys expire two hours after the last beat."""
    await beats.beat(PROJECT, USER, _now_ms(), closes=False)

    for key in (keys.heartbeats, keys.heartbeats_due, keys.heartbeats_of_projects):
        assert KEPT_MS - 60_000 < await redis.pttl(key) <= KEPT_MS


async def test_a_time_ahead_of_the_servers_clock_counts_as_now(beats: Heartbeats) -> None:
    """An ingest process with a fast clock must not extend a session."""
    await beats.beat(PROJECT, USER, _now_ms() + 3_600_000, closes=False)

    assert (await beats.due(10))[0].beaten_ms <= round(real_now().timestamp() * 1000) + 1000


def _with_room_for(number: int, redis: Redis, keys: RedisKeys) -> Heartbeats:
    """Heartbeats on a server with memory for this number of keys."""
    memory_bytes = number * BYTES_EACH * 10
    assert max_session_keys(memory_bytes) == number
    return Heartbeats(redis, keys, lambda: memory_bytes)


async def _filled(beats: Heartbeats, project_id: bytes) -> int:
    """Add new keys until one is refused; return how many were kept."""
    for number in range(100):
        if not await beats.beat(project_id, f"made up {number}", _now_ms(), closes=False):
            return number
    raise AssertionError("no key was refused")


async def test_a_project_may_use_at_most_half_of_the_free_keys(redis: Redis, keys: RedisKeys) -> None:
    """Further keys are refused; existing ones can still beat."""
    beats = _with_room_for(12, redis, keys)

    assert await _filled(beats, PROJECT) == 6
    assert await beats.beat(PROJECT, "made up 0", _now_ms(), closes=False)
    assert len(await beats.due(100)) == 6


async def test_a_project_that_invents_keys_does_not_displace_others(redis: Redis, keys: RedisKeys) -> None:
    """Each leaves as much free as it takes, so there is always space for another project."""
    beats = _with_room_for(12, redis, keys)
    others = [b"an other project", b"another project!"]

    assert [await _filled(beats, project) for project in (PROJECT, *others)] == [6, 3, 2]


async def test_removed_beats_free_their_space(redis: Redis, keys: RedisKeys) -> None:
    """Applied or expired, they do not count, and no counter remains."""
    beats = _with_room_for(2, redis, keys)
    await beats.beat(PROJECT, "one", _now_ms(), closes=False)
    await beats.forget(await beats.due(10))
    assert await beats.beat(PROJECT, "two", _now_ms() - KEPT_MS, closes=False)
    assert not await beats.beat(PROJECT, "three", _now_ms(), closes=False)

    assert await beats.due(10) == []
    assert await redis.exists(keys.heartbeats_of_projects) == 0
    assert await beats.beat(PROJECT, "three", _now_ms(), closes=False)


async def test_a_key_takes_no_more_memory_than_estimated(
    beats: Heartbeats, redis: Redis, keys: RedisKeys
) -> None:
    """Otherwise heartbeats would exceed their share of the memory."""
    number = 3000
    for first in range(0, number, 100):
        posted = (beats.beat(PROJECT, f"user {first + i}", _now_ms(), closes=i % 2 == 0) for i in range(100))
        assert all(await asyncio.gather(*posted))

    names = keys.heartbeats, keys.heartbeats_due, keys.heartbeats_of_projects
    taken = [await redis.memory_usage(name, samples=0) or 0 for name in names]
    assert min(taken) > 0
    assert sum(taken) < number * BYTES_EACH


@pytest.mark.parametrize(
    ("memory_bytes", "most"),
    [
        pytest.param(0, 1_000_000, id="no limit"),
        pytest.param(512 * 2**20, 268_435, id="the usual limit"),
        pytest.param(1, 1, id="hardly any"),
    ],
)
def test_keys_may_take_a_share_of_the_memory(memory_bytes: int, most: int) -> None:
    """A tenth of the limit, far below the mark at which posts are refused."""
    assert max_session_keys(memory_bytes) == most


async def test_at_most_the_requested_number_is_offered(beats: Heartbeats) -> None:
    """The next call returns the rest."""
    for number in range(5):
        await beats.beat(PROJECT, f"user {number}", _now_ms(), closes=False)

    first = await beats.due(3)
    await beats.forget(first)

    assert len(first) == 3
    assert len(await beats.due(3)) == 2


async def test_an_unreachable_server_is_our_error(keys: RedisKeys) -> None:
    """So that ingest can answer 503."""
    gone = Heartbeats(Redis(host="127.0.0.1", port=1), keys)

    with pytest.raises(BrokerUnavailable):
        await gone.beat(PROJECT, USER, _now_ms(), closes=False)

"""Ingest follows the settings that are stored next to the queue: the number of shards, the age of events."""

from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from collector.broker.event_age import publish_event_age
from collector.broker.keys import RedisKeys
from collector.broker.queue.shards import set_shards, stream_lengths
from tests.ingest.projections import a_projection
from tests.ingest.running_ingest import BEARER, JSON, RunningIngest, running_ingest
from tests.support.real_clock import real_now
from tests.support.waiting import until

pytestmark = pytest.mark.integration


async def _used(ingest: RunningIngest, key_prefix: str) -> set[int]:
    """The shards that four successive posts go to."""
    before = await stream_lengths(ingest.redis, RedisKeys(key_prefix))
    for _ in range(4):
        assert (await ingest.post()).status == 202
    after = await stream_lengths(ingest.redis, RedisKeys(key_prefix))
    return {shard for shard, length in enumerate(after) if length > before[shard]}


async def test_a_running_ingest_follows_a_changed_number(redis_url: str, key_prefix: str) -> None:
    """Up and down, within a second."""
    async with running_ingest(redis_url, key_prefix, a_projection()) as ingest:
        for number in (4, 2):
            await set_shards(ingest.redis, RedisKeys(key_prefix), number)

            async def is_followed(number: int = number) -> bool:
                return await _used(ingest, key_prefix) == set(range(number))

            await until(is_followed)


async def test_the_stored_number_applies_at_the_start(redis_url: str, key_prefix: str) -> None:
    """Two processes with different settings write to the same streams."""
    async with (
        running_ingest(redis_url, key_prefix, a_projection(), shards=2) as first,
        running_ingest(redis_url, key_prefix, a_projection(), shards=4) as second,
    ):
        assert await _used(first, key_prefix) == await _used(second, key_prefix) == {0, 1}


async def _strict_status(ingest: RunningIngest, age_days: int) -> int:
    date = (real_now() - timedelta(days=age_days)).isoformat()
    body = f'{{"message":"hi","date":"{date}"}}'
    return (await ingest.post(data=body, headers=JSON | BEARER | {"Prefer": "handling=strict"})).status


async def test_strict_posts_are_checked_by_the_age_that_workers_discard_by(
    redis_url: str, key_prefix: str
) -> None:
    """With its own, ingest would answer 202 for events that are discarded; one line names both values."""
    with capture_logs() as lines:
        async with running_ingest(redis_url, key_prefix, a_projection(), max_event_age_days=30) as ingest:
            before = await _strict_status(ingest, 20)
            await publish_event_age(ingest.redis, RedisKeys(key_prefix), 7)

            async def is_followed() -> bool:
                return await _strict_status(ingest, 20) == 422

            await until(is_followed)
            assert await _strict_status(ingest, 6) == 202
    warnings = [line["event"] for line in lines if line["event"].startswith("HEADRACE_MAX_EVENT_AGE_DAYS")]

    assert before == 202
    assert [warning[:53] for warning in warnings] == [
        "HEADRACE_MAX_EVENT_AGE_DAYS is 30 here, but the worker"[:53]
    ]


async def test_an_ingest_without_the_setting_goes_by_the_workers(redis_url: str, key_prefix: str) -> None:
    """From its start on; before the first worker by the default, 3 days."""
    async with running_ingest(redis_url, key_prefix, a_projection()) as ingest:
        assert await _strict_status(ingest, 5) == 422
        await publish_event_age(ingest.redis, RedisKeys(key_prefix), 0)
        async with running_ingest(redis_url, key_prefix, a_projection()) as second:
            assert await _strict_status(second, 5) == 202

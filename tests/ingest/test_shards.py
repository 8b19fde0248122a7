"""Ingest follows the number of shards that is stored in Redis."""

import pytest

from collector.broker.keys import RedisKeys
from collector.broker.shards import set_shards, stream_lengths
from tests.ingest.projections import a_projection
from tests.ingest.running_ingest import RunningIngest, running_ingest
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

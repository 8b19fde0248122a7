"""Inspects the entries waiting in the streams, oldest first, in bounded pages, changing nothing."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from redis import exceptions
from redis.asyncio import Redis

from collector.broker.errors import BrokerForbidden, translated
from collector.broker.keys import GROUP, RedisKeys
from collector.broker.queue import post_batch
from collector.broker.queue.shards import stream_lengths
from collector.domain.post import PostBatch

_PAGE_BYTES: Final = 4 << 20
"""The approximate size of a page, estimated from the largest entry of the previous one."""
_PAGE_ENTRIES: Final = 128
_ASKED_LATELY_MS: Final = 60_000


@dataclass(frozen=True, slots=True)
class WaitingEntry:
    """An entry that is not acknowledged yet; `before` entries of its shard are older.

    `is_in_hand` is true if it was delivered to a worker. `batch` is None if this version cannot read it.
    """

    shard: int
    id: str
    before: int
    is_in_hand: bool
    size: int
    batch: PostBatch | None


class Delivery(NamedTuple):
    """The consumer that holds an entry, the time since its delivery, and the number of its deliveries."""

    consumer: str
    idle_seconds: float
    deliveries: int


class QueueLook:
    """Read-only view of the streams for the API and the CLI. Raises BrokerUnavailable."""

    def __init__(self, redis: Redis, keys: RedisKeys) -> None:
        self._redis = redis
        self._keys = keys

    async def length(self) -> int:
        """The number of entries in all shards."""
        return sum(await stream_lengths(self._redis, self._keys))

    async def oldest(self) -> list[datetime]:
        """When the oldest entry of each non-empty shard was written, by Redis's clock."""
        pages = [await self._page(shard, "-", 1) for shard in await self._shards()]
        return [datetime.fromtimestamp(_parse_id(page[0][0])[0] / 1000, UTC) for page in pages if page]

    async def entries(self) -> AsyncGenerator[WaitingEntry]:
        """Every entry, shard by shard, oldest first; may include entries appended during the iteration."""
        for shard in await self._shards():
            last_delivered = await self._last_delivered(shard)
            before, begin, largest = 0, "-", _PAGE_BYTES
            while page := await self._page(shard, begin, max(1, min(_PAGE_ENTRIES, _PAGE_BYTES // largest))):
                largest = 1
                for entry_id, fields in page:
                    size = sum(map(len, fields.values()))
                    largest = max(largest, size)
                    batch = await asyncio.to_thread(_decoded, fields)
                    is_in_hand = _parse_id(entry_id) <= last_delivered
                    yield WaitingEntry(shard, entry_id.decode(), before, is_in_hand, size, batch)
                    before += 1
                begin = f"({page[-1][0].decode()}"

    async def delivery(self, shard: int, entry_id: str) -> Delivery | None:
        """The current delivery of an entry; None if no consumer holds it."""
        try:
            with translated():
                found: Any = await self._redis.xpending_range(
                    self._keys.stream(shard), GROUP, entry_id, entry_id, 1
                )
        except exceptions.ResponseError:  # there is no group yet
            return None
        for each in found:
            idle_seconds = each["time_since_delivered"] / 1000
            return Delivery(each["consumer"].decode(), idle_seconds, int(each["times_delivered"]))
        return None

    async def workers(self) -> int | None:
        """How many workers have asked for entries within the last minute; None if our user may not know."""
        try:
            with translated():
                found: Any = await self._redis.xinfo_consumers(self._keys.stream(0), GROUP)
        except BrokerForbidden:
            return None
        except exceptions.ResponseError:  # there is no stream or group yet
            return 0
        return len([each for each in found if each["idle"] < _ASKED_LATELY_MS])

    async def _shards(self) -> list[int]:
        """The shards that hold entries, including those above the stored number of shards."""
        lengths = await stream_lengths(self._redis, self._keys)
        return [shard for shard, length in enumerate(lengths) if length]

    async def _page(self, shard: int, begin: str, count: int) -> list[tuple[bytes, Mapping[bytes, bytes]]]:
        with translated():
            page: Any = await self._redis.xrange(self._keys.stream(shard), begin, "+", count)
        return list(page)

    async def _last_delivered(self, shard: int) -> tuple[int, int]:
        """The id of the last entry that was delivered to a worker."""
        try:
            with translated():
                groups: Any = await self._redis.xinfo_groups(self._keys.stream(shard))
        except exceptions.ResponseError:  # there is no stream yet
            return (0, 0)
        delivered = [
            group["last-delivered-id"] for group in groups if group["name"] in {GROUP, GROUP.encode()}
        ]
        return max(map(_parse_id, delivered), default=(0, 0))


def _parse_id(entry_id: bytes) -> tuple[int, int]:
    """Milliseconds and sequence number."""
    milliseconds, _, number = entry_id.partition(b"-")
    return int(milliseconds), int(number or 0)


def _decoded(fields: Mapping[bytes, bytes]) -> PostBatch | None:
    try:
        return post_batch.decode(fields)
    except post_batch.UnreadableEntry:
        return None

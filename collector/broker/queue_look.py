"""A look at what waits in the streams, which changes nothing: entries from the oldest on, within bounds."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from redis import exceptions
from redis.asyncio import Redis

from collector.broker import post_batch
from collector.broker.errors import translated
from collector.broker.keys import GROUP, RedisKeys
from collector.broker.shards import stream_lengths
from collector.domain.post import PostBatch

_PAGE_BYTES: Final = 4 << 20
"""About so much is read in one go, by the size of the largest entry so far."""
_PAGE_ENTRIES: Final = 128


@dataclass(frozen=True, slots=True)
class WaitingEntry:
    """An entry that is not acknowledged; `before` entries of its shard are older.

    `is_in_hand` says that it was given to a worker. `batch` is None where this version cannot read it.
    """

    shard: int
    id: str
    before: int
    is_in_hand: bool
    size: int
    batch: PostBatch | None


class Delivery(NamedTuple):
    """Who holds an entry, for how long, and how often it was given out."""

    consumer: str
    idle_seconds: float
    deliveries: int


class QueueLook:
    """Reads the streams for people. Raises BrokerUnavailable."""

    def __init__(self, redis: Redis, keys: RedisKeys) -> None:
        self._redis = redis
        self._keys = keys

    async def length(self) -> int:
        """How many entries wait in all shards."""
        return sum(await stream_lengths(self._redis, self._keys))

    async def oldest(self) -> list[datetime]:
        """When the oldest entry of each shard that has one was written, by Redis' clock."""
        pages = [await self._page(shard, "-", 1) for shard in await self._shards()]
        return [datetime.fromtimestamp(_moment(page[0][0])[0] / 1000, UTC) for page in pages if page]

    async def entries(self) -> AsyncGenerator[WaitingEntry]:
        """Every entry, shard after shard, the oldest first; those that come meanwhile may be among them."""
        for shard in await self._shards():
            last_given = await self._last_given(shard)
            before, begin, largest = 0, "-", _PAGE_BYTES
            while page := await self._page(shard, begin, max(1, min(_PAGE_ENTRIES, _PAGE_BYTES // largest))):
                largest = 1
                for entry_id, fields in page:
                    size = sum(map(len, fields.values()))
                    largest = max(largest, size)
                    batch = await asyncio.to_thread(_decoded, fields)
                    is_in_hand = _moment(entry_id) <= last_given
                    yield WaitingEntry(shard, entry_id.decode(), before, is_in_hand, size, batch)
                    before += 1
                begin = f"({page[-1][0].decode()}"

    async def delivery(self, shard: int, entry_id: str) -> Delivery | None:
        """Who holds the entry; None when nobody does, or no longer."""
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

    async def _shards(self) -> list[int]:
        """Those that hold entries, whatever their number is said to be."""
        lengths = await stream_lengths(self._redis, self._keys)
        return [shard for shard, length in enumerate(lengths) if length]

    async def _page(self, shard: int, begin: str, count: int) -> list[tuple[bytes, Mapping[bytes, bytes]]]:
        with translated():
            page: Any = await self._redis.xrange(self._keys.stream(shard), begin, "+", count)
        return list(page)

    async def _last_given(self, shard: int) -> tuple[int, int]:
        """The id up to which entries were given to workers."""
        try:
            with translated():
                groups: Any = await self._redis.xinfo_groups(self._keys.stream(shard))
        except exceptions.ResponseError:  # there is no stream yet
            return (0, 0)
        given = [group["last-delivered-id"] for group in groups if group["name"] in {GROUP, GROUP.encode()}]
        return max(map(_moment, given), default=(0, 0))


def _moment(entry_id: bytes) -> tuple[int, int]:
    milliseconds, _, number = entry_id.partition(b"-")
    return int(milliseconds), int(number or 0)


def _decoded(fields: Mapping[bytes, bytes]) -> PostBatch | None:
    try:
        return post_batch.decode(fields)
    except post_batch.UnreadableEntry:
        return None

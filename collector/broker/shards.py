"""How many streams posts are spread over, and which streams there are, as Redis says and no setting.

The number is stored beside the streams. Processes follow it while they run, each at its own time. So an
ingest that has not followed a lower number yet may still write above it: workers find every stream that holds
an entry by the lengths of all that there can be, and leave one above the number only while it is empty.
"""

from collections.abc import Iterable
from typing import Final

import structlog
from redis import exceptions
from redis.asyncio import Redis

from collector.broker.errors import BrokerFull, translated
from collector.broker.keys import GROUP, RedisKeys
from collector.process.settings import MOST_SHARDS

FOLLOW_SECONDS: Final = 1.0
FIND_SECONDS: Final = 5.0
"""How soon a change of the number is followed, and an entry above the number found."""

_FIELD: Final = "shards"
_LENGTHS_AT_ONCE: Final = 32
"""All 256 cost some 6 ms of this process's time: in pieces nothing else waits that long."""

_log = structlog.get_logger()


class Shards:
    """The number of shards, and the streams that a worker reads.

    `number` is 1 until Redis has said it: the first stream is one of any number. `in_use` are all streams
    below the number and those above it that hold entries; their consumer groups were made.
    """

    def __init__(self, redis: Redis, keys: RedisKeys, setting: int | None = None) -> None:
        """`setting` is what the process was started with: stored where nothing is, else only compared."""
        self.number = 1
        self._redis = redis
        self.keys = keys
        self._setting = setting
        self._has_followed = False
        self._in_use: set[int] = set()

    @property
    def in_use(self) -> list[int]:
        """The numbers of the streams, in order."""
        return sorted(self._in_use)

    async def follow(self) -> None:
        """Take over the stored number once the streams below it can be read.

        Raises BrokerUnavailable, and BrokerFull where a new stream cannot be made: the number stays then.
        """
        number = await stored_number(self._redis, self.keys)
        if number is None:
            number = await self._store_first()
        await self._open(range(number))
        if number != self.number:
            _log.info("number of shards", shards=number, before=self.number)
        self.number = number
        self._compare()

    async def find(self) -> None:
        """Use the streams that hold entries, and no longer the empty ones above the number.

        Raises BrokerUnavailable.
        """
        lengths = await stream_lengths(self._redis, self.keys)
        for shard, length in enumerate(lengths):
            if length:
                try:
                    await self._open([shard])
                except BrokerFull:
                    _log.warning("the queue is full; a stream waits for its consumer group", shard=shard)
            elif shard >= self.number:
                self._in_use.discard(shard)

    async def reopen(self) -> None:
        """Make consumer groups where they are gone: the server was replaced.

        Raises BrokerUnavailable and BrokerFull.
        """
        self._in_use.clear()
        try:
            await self.follow()
        finally:
            # Also when nothing can be written: what is there must be read, so that something can be.
            await self.find()

    async def _store_first(self) -> int:
        """The number that counts from now on: ours, unless another process was first."""
        first = self.number if self._has_followed else self._setting or 1
        with translated():
            await self._redis.hsetnx(self.keys.settings, _FIELD, str(first))
        return await stored_number(self._redis, self.keys) or first

    async def _open(self, shards: Iterable[int]) -> None:
        for shard in shards:
            if shard not in self._in_use:
                await make_group(self._redis, self.keys.stream(shard))
                self._in_use.add(shard)

    def _compare(self) -> None:
        """Once, at the start: later changes are made on purpose."""
        if not self._has_followed and self._setting not in {None, self.number}:
            _log.warning(
                f"HEADRACE_SHARDS is {self._setting} here, but {self.number} is stored in Redis and counts; "
                f"`headrace shards set {self._setting}` changes it"
            )
        self._has_followed = True


async def set_shards(redis: Redis, keys: RedisKeys, number: int) -> None:
    """Store the number that running processes follow, after making the streams for it.

    Raises BrokerUnavailable and BrokerFull.
    """
    for shard in range(number):
        await make_group(redis, keys.stream(shard))
    with translated():
        await redis.hset(keys.settings, _FIELD, str(number))


async def stored_number(redis: Redis, keys: RedisKeys) -> int | None:
    """The number of shards; None before the first start, and for what is no such number."""
    with translated():
        stored = await redis.hget(keys.settings, _FIELD)
    number = int(stored) if stored is not None and stored.isdigit() else 0
    return number if 1 <= number <= MOST_SHARDS else None


async def stream_lengths(redis: Redis, keys: RedisKeys) -> list[int]:
    """The entries of every stream that there can be, by shard; 0 for one that is not there."""
    lengths: list[int] = []
    for begin in range(0, MOST_SHARDS, _LENGTHS_AT_ONCE):
        with translated():
            async with redis.pipeline(transaction=False) as pipeline:
                for shard in range(begin, begin + _LENGTHS_AT_ONCE):
                    pipeline.xlen(keys.stream(shard))
                lengths += [int(length) for length in await pipeline.execute()]
    return lengths


async def make_group(redis: Redis, stream: str) -> None:
    """Make the stream and its consumer group where they are missing; the group begins with the oldest entry.

    Raises BrokerFull only where the group is missing: over its limit Redis refuses to make even one that
    is there.
    """
    try:
        with translated():
            await redis.xgroup_create(stream, GROUP, id="0", mkstream=True)
    except exceptions.ResponseError as error:
        if not str(error).startswith("BUSYGROUP"):
            raise
    except BrokerFull:
        if not await _has_group(redis, stream):
            raise


async def _has_group(redis: Redis, stream: str) -> bool:
    try:
        with translated():
            groups = await redis.xinfo_groups(stream)
    except exceptions.ResponseError:  # there is no such stream
        return False
    return any(group["name"] in {GROUP, GROUP.encode()} for group in groups)

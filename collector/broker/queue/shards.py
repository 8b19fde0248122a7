"""The number of streams that posts are spread over, which is stored in Redis, and the streams in use.

Processes follow a change of the number while they run, each at its own time, so an ingest process may still
write to a stream above a number that was lowered. Workers therefore check the lengths of all possible
streams, and stop reading one above the number only while it is empty. Each shard has a stream for each lane.
"""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

import structlog
from redis import exceptions
from redis.asyncio import Redis

from collector.broker.errors import BrokerFull, translated
from collector.broker.keys import GROUP, LANES, MOST_STREAMS, RedisKeys, stream_number
from collector.process.settings import MOST_SHARDS

FOLLOW_SECONDS: Final = 1.0
FIND_SECONDS: Final = 5.0
"""How often the number is read, and how often the streams above it are checked for entries."""

_FIELD: Final = "shards"
_LENGTHS_AT_ONCE: Final = 32
"""All 256 at a time would block the event loop for some 6 ms."""

_log = structlog.get_logger()


class Shards:
    """The number of shards, and the streams that a worker reads.

    `number` is 1 until it is read from Redis, as the first stream always exists. `in_use` are all streams
    below the number and those above it that hold entries; all of their streams have a consumer group.
    """

    def __init__(self, redis: Redis, keys: RedisKeys, setting: int | None = None) -> None:
        """`setting` is the process's own setting: stored if Redis has no number, otherwise only compared."""
        self.number = 1
        self._redis = redis
        self.keys = keys
        self._setting = setting
        self._has_followed = False
        self._in_use: set[int] = set()

    @property
    def in_use(self) -> list[int]:
        """The numbers of the shards, in order."""
        return sorted(self._in_use)

    async def follow(self) -> None:
        """Adopt the stored number once all streams below it have a consumer group.

        Raises BrokerUnavailable, and BrokerFull if a new stream cannot be created: the number stays as it is.
        """
        number = await stored_number(self._redis, self.keys)
        if number is None:
            # Store our number unless another process was first, and take the one in force.
            first = self.number if self._has_followed else self._setting or 1
            with translated():
                await self._redis.hsetnx(self.keys.settings, _FIELD, str(first))
            number = await stored_number(self._redis, self.keys) or first
        await self._open(range(number))
        if number != self.number:
            _log.info("number of shards", shards=number, before=self.number)
        self.number = number
        # Warn only at the start: later changes are made on purpose.
        if not self._has_followed and self._setting not in {None, self.number}:
            _log.warning(
                f"HEADRACE_SHARDS is {self._setting} here, but {self.number} is stored in Redis and counts; "
                f"`headrace shards set {self._setting}` changes it"
            )
        self._has_followed = True

    async def find(self) -> None:
        """Use the streams that hold entries, and stop using empty ones above the number.

        Raises BrokerUnavailable.
        """
        lengths = await stream_lengths(self._redis, self.keys)
        for shard in range(MOST_SHARDS):
            if any(lengths[shard::MOST_SHARDS]):
                try:
                    await self._open([shard])
                except BrokerFull:
                    _log.warning("the queue is full; a stream waits for its consumer group", shard=shard)
            # Empty and above the number: no process writes to it any more, or the next look finds it again.
            elif shard >= self.number:
                self._in_use.discard(shard)

    async def reopen(self) -> None:
        """Create the consumer groups again, after the server was replaced.

        Raises BrokerUnavailable and BrokerFull.
        """
        self._in_use.clear()
        try:
            await self.follow()
        finally:
            # Even if Redis is full: reading what is there is what frees memory.
            await self.find()

    async def _open(self, shards: Iterable[int]) -> None:
        for shard in shards:
            if shard not in self._in_use:
                await make_groups(self._redis, self.keys, shard)
                self._in_use.add(shard)


async def set_shards(redis: Redis, keys: RedisKeys, number: int) -> None:
    """Create the streams for a number of shards, then store the number for running processes to follow.

    Raises BrokerUnavailable and BrokerFull.
    """
    # The streams first, so that processes that follow the number find them ready.
    for shard in range(number):
        await make_groups(redis, keys, shard)
    with translated():
        await redis.hset(keys.settings, _FIELD, str(number))


async def stored_number(redis: Redis, keys: RedisKeys) -> int | None:
    """The stored number of shards; None before the first start, and if the stored value is invalid."""
    with translated():
        stored = await redis.hget(keys.settings, _FIELD)
    number = int(stored) if stored is not None and stored.isdigit() else 0
    return number if 1 <= number <= MOST_SHARDS else None


async def stream_lengths(redis: Redis, keys: RedisKeys) -> list[int]:
    """The length of every possible stream, by its number; 0 if it does not exist."""
    lengths: list[int] = []
    for begin in range(0, MOST_STREAMS, _LENGTHS_AT_ONCE):
        with translated():
            async with redis.pipeline(transaction=False) as pipeline:
                for number in range(begin, begin + _LENGTHS_AT_ONCE):
                    pipeline.xlen(keys.stream(number))
                lengths += [int(length) for length in await pipeline.execute()]
    return lengths


async def make_groups(redis: Redis, keys: RedisKeys, shard: int) -> None:
    """Create the streams of the shard and their consumer groups unless they exist.

    Raises BrokerFull only if the group of the first lane is missing. A full server of an older installation
    lacks the others: the first must be read nevertheless, because that is what makes room for them.
    """
    await make_group(redis, keys.stream(shard))
    for lane in range(1, LANES):
        with suppress(BrokerFull):
            await make_group(redis, keys.stream(stream_number(lane, shard)))


async def make_group(redis: Redis, stream: str) -> None:
    """Create the stream and its consumer group unless they exist; the group begins with the oldest entry.

    Raises BrokerFull only if the group is missing: over its limit Redis refuses XGROUP CREATE even for a
    group that exists.
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


def pending_entries(groups: Any) -> int:
    """The entries that workers hold, from the reply of XINFO GROUPS; 0 if there is no stream or no group."""
    if isinstance(groups, exceptions.ResponseError):
        return 0
    if isinstance(groups, Exception):
        raise groups
    return sum(int(group["pending"]) for group in groups if group["name"] in {GROUP, GROUP.encode()})


async def _has_group(redis: Redis, stream: str) -> bool:
    try:
        with translated():
            groups = await redis.xinfo_groups(stream)
    except exceptions.ResponseError:  # the stream does not exist
        return False
    return any(group["name"] in {GROUP, GROUP.encode()} for group in groups)

"""The streams of post batches: one entry per batch, one consumer group, acknowledged and deleted together."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Any, Final, cast

from redis import exceptions
from redis.asyncio import Redis

from collector.broker import post_batch
from collector.broker.errors import translated
from collector.broker.keys import GROUP, Keys
from collector.broker.shards import Shards
from collector.broker.write_connections import WriteConnections
from collector.domain.post import PostBatch

_APPEND: Final = """#!lua
redis.call('XADD', KEYS[1], '*', unpack(ARGV, 3))
redis.call('HINCRBY', KEYS[2], 'batches', 1)
redis.call('HINCRBY', KEYS[2], 'posts', ARGV[1])
redis.call('HINCRBY', KEYS[2], 'bytes', ARGV[2])
"""
"""One step like MULTI, and 80 of 240 microseconds of this process's time cheaper: one command, one reply."""

_APPEND_SHA: Final = hashlib.sha1(_APPEND.encode(), usedforsecurity=False).hexdigest()

_REMOVE_IDLE_CONSUMERS: Final = """#!lua flags=allow-oom
local removed = 0
for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local facts = {}
  for i = 1, #consumer, 2 do facts[consumer[i]] = consumer[i + 1] end
  if facts['pending'] == 0 and facts['idle'] > tonumber(ARGV[2]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], facts['name'])
    removed = removed + 1
  end
end
return removed
"""
"""One step: a consumer that got entries between the look and the removal would lose them for good."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry as read.

    `batch` is None when this version cannot read it: then `raw` has its bytes and `problem` says why.
    `post_count` is what was counted as accepted with it, `body_limit_bytes` the limit that its posts were
    accepted under (0: an older version wrote it).
    """

    shard: int
    id: str
    batch: PostBatch | None
    raw: bytes = b""
    problem: str = ""
    post_count: int = 0
    body_limit_bytes: int = 0


@dataclass(frozen=True, slots=True)
class ShardBacklog:
    """What waits in one shard, in entries: `lag` unread (None when Redis cannot tell), `pending` in hand."""

    shard: int
    length: int
    lag: int | None
    pending: int


class PostStream:
    """All shards of the stream. Raises BrokerUnavailable and, from writes only, BrokerFull."""

    def __init__(self, redis: Redis, keys: Keys, shards: Shards, body_limit_bytes: int = 0) -> None:
        """Appends to any shard; reads those that `shards` says are in use.

        `body_limit_bytes` is noted in every entry, so that no worker is stricter with it than ingest was.
        """
        self._redis = redis
        self._writes = WriteConnections(redis)
        self._keys = keys
        self._shards = shards
        self._body_limit_bytes = body_limit_bytes

    async def append(self, shard: int, batch: PostBatch) -> None:
        """Write one batch and count it, in one step.

        After BrokerUnavailable it may have been written all the same; repeating it with the same batch id is
        safe, because a batch id is stored once.
        """
        size = sum(len(post.body) for post in batch.posts)
        keys = (self._keys.stream(shard), self._keys.accepted(shard))
        values = (len(batch.posts), size, *_flat(post_batch.encode(batch, self._body_limit_bytes)))
        with translated():
            try:
                await self._writes.run("EVALSHA", _APPEND_SHA, len(keys), *keys, *values)
            except exceptions.NoScriptError:
                await self._writes.run("EVAL", _APPEND, len(keys), *keys, *values)

    async def ensure_group(self) -> None:
        """Find the streams, and make the group where it is missing; it begins with the oldest entry."""
        await self._shards.reopen()

    async def read(self, consumer: str, count: int, block_ms: int) -> list[Entry]:
        """Up to `count` new entries of each shard for this consumer; none when `block_ms` passed without."""
        shard_of = await self._readable()
        streams = dict.fromkeys(shard_of, ">")
        try:
            with translated():
                reply = await self._redis.xreadgroup(GROUP, consumer, cast("Any", streams), count, block_ms)
        except exceptions.ResponseError as error:
            if not str(error).startswith("NOGROUP"):
                raise
            await self.ensure_group()
            return []
        return [_entry(shard_of[stream], *item) for stream, items in _by_stream(reply) for item in items]

    async def claim(self, consumer: str, idle_ms: int, count: int) -> list[Entry]:
        """Take over up to `count` entries of each shard that another consumer has held for `idle_ms`."""
        claimed: list[Entry] = []
        for stream, shard in (await self._readable()).items():
            with translated():
                reply: Any = await self._redis.xautoclaim(stream, GROUP, consumer, idle_ms, "0-0", count)
            claimed += [_entry(shard, *item) for item in reply[1] if item[1] is not None]
        return claimed

    async def acknowledge(self, entries: Sequence[Entry]) -> None:
        """Acknowledge and delete the entries; only for what is committed. Doing it twice changes nothing."""
        for shard, of_shard in groupby(sorted(entries, key=attrgetter("shard")), key=attrgetter("shard")):
            ids = [entry.id for entry in of_shard]
            stream = self._keys.stream(shard)
            with translated():
                async with self._redis.pipeline(transaction=True) as pipeline:
                    pipeline.xack(stream, GROUP, *ids)
                    pipeline.xdel(stream, *ids)
                    await pipeline.execute()

    async def remove_dead_consumers(self, idle_ms: int) -> int:
        """Forget consumers that hold nothing and have not asked for anything for `idle_ms`."""
        removed = 0
        for stream in self._shard_of:
            with translated():
                call = self._redis.eval(_REMOVE_IDLE_CONSUMERS, 1, cast("str", stream), GROUP, str(idle_ms))
                removed += int(await call)
        return removed

    async def _readable(self) -> dict[bytes, int]:
        """The streams to read, once there are some."""
        if not self._shard_of:  # Nothing was found yet, or no group could be made: the queue was full.
            await self.ensure_group()
        return self._shard_of

    @property
    def _shard_of(self) -> dict[bytes, int]:
        """The streams in use, as they are now."""
        return {self._keys.stream(shard).encode(): shard for shard in self._shards.in_use}

    async def backlog(self) -> list[ShardBacklog]:
        """What waits in each shard; nothing for a shard whose group does not exist yet."""
        found: list[ShardBacklog] = []
        for stream, shard in (await self._readable()).items():
            with translated():
                if not await self._redis.exists(stream):
                    continue
                length = int(await self._redis.xlen(stream))
                groups: Any = await self._redis.xinfo_groups(stream)
            found += [
                ShardBacklog(shard, length, group["lag"], int(group["pending"]))
                for group in groups
                if group["name"] in {GROUP, GROUP.encode()}
            ]
        return found


def _flat(fields: Mapping[bytes, bytes]) -> list[bytes]:
    return [part for item in fields.items() for part in item]


def _by_stream(reply: Any) -> list[tuple[bytes, list[tuple[bytes, Mapping[bytes, bytes]]]]]:
    """The reply of XREADGROUP, whose shape depends on the protocol version."""
    if not reply:
        return []
    pairs = reply.items() if isinstance(reply, Mapping) else reply
    return [(stream, [item for part in items for item in (part if isinstance(part, list) else [part])])
            for stream, items in pairs]  # fmt: skip


def _entry(shard: int, entry_id: bytes, fields: Mapping[bytes, bytes]) -> Entry:
    post_count, limit = post_batch.post_count(fields), post_batch.body_limit_bytes(fields)
    try:
        return Entry(shard, entry_id.decode(), post_batch.decode(fields), b"", "", post_count, limit)
    except post_batch.UnreadableEntry as error:
        raw = b"\n".join(b"%b: %b" % item for item in fields.items())
        return Entry(shard, entry_id.decode(), None, raw, str(error), post_count)

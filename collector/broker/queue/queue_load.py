"""Measures how full the queue is and how fast workers drain it, for backpressure."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any, Final

from redis import exceptions
from redis.asyncio import Redis

from collector.broker.errors import BrokerForbidden, BrokerFull, BrokerUnavailable, translated
from collector.broker.keys import LANES, RedisKeys, stream_number
from collector.broker.queue.shards import pending_entries

_WRITE_NOTHING: Final = """#!lua
local is_known, is_allowed = pcall(redis.acl_check_cmd, 'XADD', KEYS[1], '*', 'name', 'value')
if is_known and not is_allowed then
  return redis.error_reply("NOPERM User has no permissions to run the 'xadd' command")
end
return 0
"""
"""Writes nothing, but without the flag `no-writes` it is refused as a write is: read-only, full ..."""


@dataclass(frozen=True, slots=True)
class LaneLoad:
    """The entries of a lane: those that no worker has read, and all that were ever appended."""

    unread: int = 0
    added: int = 0

    def is_behind(self, earlier: "LaneLoad") -> bool:
        """Whether entries from before an earlier measurement are unread although workers do read."""
        added = self.added - earlier.added
        return self.unread > added and self.unread < earlier.unread + added


@dataclass(frozen=True, slots=True)
class QueueLoad:
    """One measurement of the queue.

    `used_bytes` is the memory of the streams, `server_bytes` everything that the server counts against its
    `limit_bytes` (0: no limit). `entries` are in the streams now, `added` were ever appended: the difference
    of two measurements gives the number drained between them.
    """

    used_bytes: int
    limit_bytes: int
    entries: int
    added: int
    server_bytes: int = 0
    shows_memory: bool = True
    """Whether the server reports its memory; managed services and ACLs without `INFO` do not."""
    first_lane: LaneLoad = LaneLoad()
    is_over: bool = False
    """Whether the server refuses writes for lack of memory."""

    @property
    def drained(self) -> int:
        """How many entries have ever left the streams."""
        return self.added - self.entries

    def with_limit(self, limit_bytes: int) -> "QueueLoad":
        """The same with a limit from `CONFIG`, unless `INFO` reported one."""
        if self.limit_bytes or not limit_bytes:
            return self
        return replace(self, limit_bytes=limit_bytes, shows_memory=self.server_bytes > 0)


async def queue_load(redis: Redis, keys: RedisKeys, shards: Collection[int]) -> QueueLoad:
    """Measure these shards.

    Raises BrokerUnavailable if the server does not answer or is temporarily unable to.
    """
    streams = [stream_number(lane, shard) for lane in range(LANES) for shard in shards]
    with translated():
        async with redis.pipeline(transaction=False) as pipeline:
            pipeline.info("memory")
            # Right after it: a limit that changes in between would make the two contradict each other.
            pipeline.eval(_WRITE_NOTHING, 1, keys.stream(0))
            for shard in shards:
                pipeline.xinfo_groups(keys.stream(shard))
            for number in streams:
                # Not XINFO STREAM: its reply includes the first and the last entry, of up to 4 MB each.
                pipeline.xlen(keys.stream(number))
                pipeline.hmget(keys.accepted(number), ["batches", "memory", "freed"])
            reply, write_reply, *replies = await pipeline.execute(raise_on_error=False)
        memory = _shown(reply)
        groups, found = replies[: len(shards)], replies[len(shards) :]
        pending = sum(map(pending_entries, groups))
        lengths = [_number(each) for each in found[::2]]
        added = [_number(each if isinstance(each, Exception) else each[0]) for each in found[1::2]]
    return QueueLoad(
        used_bytes=sum(
            max(0, int(memory_bytes or 0) - int(freed_bytes or 0))
            for length, (_, memory_bytes, freed_bytes) in zip(lengths, found[1::2], strict=True)
            if length
        ),
        limit_bytes=int(memory.get("maxmemory", 0)),
        entries=sum(lengths),
        added=sum(added),
        server_bytes=int(memory.get("used_memory", 0)) - int(memory.get("mem_not_counted_for_evict", 0)),
        shows_memory="used_memory" in memory and "maxmemory" in memory,
        first_lane=LaneLoad(
            unread=max(0, sum(lengths[: len(shards)]) - pending),
            added=sum(added[: len(shards)]),
        ),
        is_over=_is_over(write_reply),
    )


async def check_writable(redis: Redis, keys: RedisKeys) -> None:
    """Check that the server would accept a post batch, without writing anything.

    Raises BrokerUnavailable and BrokerFull like the write.
    """
    with translated():
        await redis.eval(_WRITE_NOTHING, 1, keys.stream(0))


def _shown(reply: Any) -> dict[str, Any]:
    """The reply to `INFO memory`; empty if our user may not run the command or it does not exist."""
    if not isinstance(reply, Exception):
        return dict(reply)
    try:
        with translated():
            raise reply
    except (BrokerForbidden, exceptions.ResponseError):
        return {}


def _is_over(reply: Any) -> bool:
    """Whether the reply to a write says that the memory is full; `check_writable` raises other problems."""
    if not isinstance(reply, Exception):
        return False
    try:
        with translated():
            raise reply
    except BrokerFull:
        return True
    except BrokerUnavailable:
        return False


def _number(reply: Any) -> int:
    """The number in a reply; 0 for a shard that was never written to. Raises error replies."""
    if isinstance(reply, Exception):
        raise reply
    return int(reply or 0)

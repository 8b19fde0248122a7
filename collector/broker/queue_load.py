"""How full the queue is, and how fast workers empty it: what backpressure goes by."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

from redis import exceptions
from redis.asyncio import Redis

from collector.broker.errors import BrokerForbidden, translated
from collector.broker.keys import RedisKeys

_WRITE_NOTHING: Final = """#!lua
local is_known, is_allowed = pcall(redis.acl_check_cmd, 'XADD', KEYS[1], '*', 'name', 'value')
if is_known and not is_allowed then
  return redis.error_reply("NOPERM User has no permissions to run the 'xadd' command")
end
return 0
"""
"""Without the flag `no-writes` a script is refused as a write is: read-only, full, too few replicas ..."""


@dataclass(frozen=True, slots=True)
class QueueLoad:
    """A look at the queue's server.

    Memory is in bytes, as the server counts it against `limit_bytes` (0: it has none). `entries` stand in the
    streams now, `added` were ever appended: so what was drained between two looks can be told.
    """

    used_bytes: int
    limit_bytes: int
    entries: int
    added: int
    shows_memory: bool = True
    """Whether the server tells its memory at all; managed ones and an ACL without `INFO` do not."""

    @property
    def drained(self) -> int:
        """How many entries have ever left the streams."""
        return self.added - self.entries

    def bounded_by(self, limit_bytes: int) -> "QueueLoad":
        """The same where the limit is known otherwise, from `CONFIG`."""
        if self.limit_bytes or not limit_bytes:
            return self
        return replace(self, limit_bytes=limit_bytes, shows_memory=self.used_bytes > 0)


async def queue_load(redis: Redis, keys: RedisKeys, shards: Iterable[int]) -> QueueLoad:
    """Look once at these shards.

    Raises BrokerUnavailable when the server does not answer, or can do nothing just now.
    """
    with translated():
        async with redis.pipeline(transaction=False) as pipeline:
            pipeline.info("memory")
            for shard in shards:
                # Not XINFO STREAM: that sends the first and the last entry along, which may have 4 MB each.
                pipeline.xlen(keys.stream(shard))
                pipeline.hget(keys.accepted(shard), "batches")
            reply, *found = await pipeline.execute(raise_on_error=False)
        memory = _shown(reply)
        numbers = [_number(each) for each in found]
    return QueueLoad(
        used_bytes=int(memory.get("used_memory", 0)) - int(memory.get("mem_not_counted_for_evict", 0)),
        limit_bytes=int(memory.get("maxmemory", 0)),
        entries=sum(numbers[::2]),
        added=sum(numbers[1::2]),
        shows_memory="used_memory" in memory and "maxmemory" in memory,
    )


async def check_writable(redis: Redis, keys: RedisKeys) -> None:
    """Return where the server would take a post batch; nothing is written, and nothing goes to its disk.

    Raises BrokerUnavailable and BrokerFull, as the write would.
    """
    with translated():
        await redis.eval(_WRITE_NOTHING, 1, keys.stream(0))


def _shown(reply: Any) -> dict[str, Any]:
    """What `INFO memory` says; nothing where the server has no such command for our user."""
    if not isinstance(reply, Exception):
        return dict(reply)
    try:
        with translated():
            raise reply
    except (BrokerForbidden, exceptions.ResponseError):
        return {}


def _number(reply: Any) -> int:
    """0 for a shard that was never written to."""
    if isinstance(reply, Exception):
        raise reply
    return int(reply or 0)

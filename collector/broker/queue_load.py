"""How full the queue is, and how fast workers empty it: what backpressure goes by."""

from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from collector.broker.errors import translated
from collector.broker.keys import Keys


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

    @property
    def drained(self) -> int:
        """How many entries have ever left the streams."""
        return self.added - self.entries


async def queue_load(redis: Redis, keys: Keys) -> QueueLoad:
    """Look once. Raises BrokerUnavailable when the server does not answer."""
    streams = [keys.stream(shard) for shard in range(keys.shards)]
    with translated():
        async with redis.pipeline(transaction=False) as pipeline:
            pipeline.info("memory")
            for stream in streams:
                pipeline.execute_command("XINFO STREAM", stream)
            # A stream that nobody has made yet is an error of its own look only.
            memory, *found = await pipeline.execute(raise_on_error=False)
        if isinstance(memory, Exception):
            raise memory
    facts = [stream for stream in found if isinstance(stream, dict)]
    return QueueLoad(
        used_bytes=int(memory["used_memory"]) - int(memory.get("mem_not_counted_for_evict", 0)),
        limit_bytes=int(memory["maxmemory"]),
        entries=sum(_number(stream, "length") for stream in facts),
        added=sum(_number(stream, "entries-added") for stream in facts),
    )


def _number(facts: dict[Any, Any], name: str) -> int:
    return int(facts.get(name, facts.get(name.encode(), 0)))

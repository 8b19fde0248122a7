"""Reads the durability settings of the queue's server: a 202 is only as durable as its fsync."""

from dataclasses import dataclass
from typing import Any, Final

from redis import exceptions
from redis.asyncio import Redis

from collector.broker.errors import BrokerForbidden, translated

UNKNOWN: Final = "unknown"


@dataclass(frozen=True, slots=True)
class Durability:
    """`fsync` is `always`, `everysec`, `no`, `off` (no append-only file) or `unknown` (not readable).

    `maxmemory_bytes` is 0 without a limit; `eviction` is the `maxmemory-policy`.
    """

    fsync: str
    maxmemory_bytes: int
    eviction: str

    @property
    def keeps_promise(self) -> bool:
        """Whether acknowledged writes survive a crash of the server, and none is evicted."""
        return self.fsync == "always" and self.eviction in {"noeviction", UNKNOWN}


async def read_durability(redis: Redis) -> Durability:
    """Read the settings from the server. Raises BrokerUnavailable if it does not answer."""
    try:
        with translated():
            config: Any = await redis.config_get("appendonly", "appendfsync", "maxmemory", "maxmemory-policy")
    except (BrokerForbidden, exceptions.ResponseError):  # denied, or removed by a managed service
        return Durability(UNKNOWN, 0, UNKNOWN)
    facts = {_text(name): _text(value) for name, value in config.items()}
    fsync = facts.get("appendfsync", UNKNOWN) if facts.get("appendonly") == "yes" else "off"
    return Durability(fsync, int(facts.get("maxmemory") or 0), facts.get("maxmemory-policy", UNKNOWN))


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)

"""Which durability the queue's server has in force: a 202 is only as good as its fsync."""

from dataclasses import dataclass
from typing import Any, Final

from redis import exceptions
from redis.asyncio import Redis

from collector.broker.errors import BrokerForbidden, translated

UNKNOWN: Final = "unknown"


@dataclass(frozen=True, slots=True)
class Durability:
    """`fsync` is `always`, `everysec`, `no`, `off` (no append-only file) or `unknown` (the server hides it).

    `maxmemory_bytes` is 0 without a limit; `eviction` is the `maxmemory-policy`.
    """

    fsync: str
    maxmemory_bytes: int
    eviction: str

    @property
    def keeps_promise(self) -> bool:
        """Whether a write that was answered survives a crash of the server, and nothing is evicted."""
        return self.fsync == "always" and self.eviction in {"noeviction", UNKNOWN}


async def durability_of(redis: Redis) -> Durability:
    """Ask the server. Raises BrokerUnavailable when it does not answer."""
    try:
        with translated():
            config: Any = await redis.config_get("appendonly", "appendfsync", "maxmemory", "maxmemory-policy")
    except (BrokerForbidden, exceptions.ResponseError):  # renamed away, as managed servers do, or denied
        return Durability(UNKNOWN, 0, UNKNOWN)
    facts = {_text(name): _text(value) for name, value in config.items()}
    fsync = facts.get("appendfsync", UNKNOWN) if facts.get("appendonly") == "yes" else "off"
    return Durability(fsync, int(facts.get("maxmemory") or 0), facts.get("maxmemory-policy", UNKNOWN))


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)

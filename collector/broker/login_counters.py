"""How often people have tried to log in, counted until the next quarter hour (contract 1.3).

Who signs up or asks for an address is counted, too, until the next full hour (contract 1.4).

Every try counts before its password is looked at, so that tries at the same time count, too.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline

from collector.broker.errors import translated
from collector.broker.keys import RedisKeys

_WINDOW_SECONDS: Final = 900
_HOUR_SECONDS: Final = 3600


@dataclass(frozen=True, slots=True)
class Tries:
    """The tries since the last quarter hour, this one included."""

    of_address: int
    from_ip: int


class LoginCounters:
    """The counters. Raises BrokerUnavailable, and BrokerFull while Redis is over its `maxmemory`."""

    def __init__(self, redis: Redis, keys: RedisKeys) -> None:
        self._redis = redis
        self._keys = keys

    async def count(self, email_address: str, client_ip: str, now: datetime) -> Tries:
        """Count one more try."""
        address, ip = self._address(email_address), self._ip(client_ip)
        with translated():
            async with self._redis.pipeline(transaction=True) as pipeline:
                pipeline.incr(address)
                pipeline.incr(ip)
                _end_with_window(pipeline, now, address, ip)
                of_address, from_ip, *_ = await pipeline.execute()
        return Tries(of_address, from_ip)

    async def forgive(self, email_address: str, client_ip: str, now: datetime) -> None:
        """Take back the tries of somebody who knew his password: all of the address, the last of the IP."""
        ip = self._ip(client_ip)
        with translated():
            async with self._redis.pipeline(transaction=True) as pipeline:
                pipeline.delete(self._address(email_address))
                pipeline.decr(ip)
                # The counter may have ended since: then this makes a new one, which must end as well.
                _end_with_window(pipeline, now, ip)
                await pipeline.execute()

    async def take_back(self, email_address: str, client_ip: str, now: datetime) -> None:
        """Take back the last try, which found nothing out."""
        address, ip = self._address(email_address), self._ip(client_ip)
        with translated():
            async with self._redis.pipeline(transaction=True) as pipeline:
                pipeline.decr(address)
                pipeline.decr(ip)
                _end_with_window(pipeline, now, address, ip)
                await pipeline.execute()

    async def count_in_hour(self, kind: str, client_ip: str, now: datetime) -> int:
        """Count one more of that kind from the IP; answers how many it is since the full hour."""
        key = self._keys.login_tries(kind, client_ip)
        with translated():
            async with self._redis.pipeline(transaction=True) as pipeline:
                pipeline.incr(key)
                _end_with_window(pipeline, now, key, window_seconds=_HOUR_SECONDS)
                tries, *_ = await pipeline.execute()
        return int(tries)

    def _address(self, email_address: str) -> str:
        """Addresses are of any length and nobody's business: their hash is enough."""
        digest = hashlib.sha256(email_address.encode("utf-8", "surrogatepass"))
        return self._keys.login_tries("address", digest.hexdigest())

    def _ip(self, client_ip: str) -> str:
        return self._keys.login_tries("ip", client_ip)


def _end_with_window(
    pipeline: Pipeline, now: datetime, *keys: str, window_seconds: int = _WINDOW_SECONDS
) -> None:
    """In seconds from now, not at a moment: Redis's clock may be another."""
    left = window_seconds - int(now.timestamp()) % window_seconds
    for key in keys:
        pipeline.expire(key, left)

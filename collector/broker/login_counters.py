"""Counters of login attempts, which expire every quarter hour (contract 1.3).

Sign-ups and look-ups of addresses are counted as well, until the next full hour (contract 1.4). An attempt is
counted before its password is checked, so that concurrent attempts cannot exceed the limit.
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
    """Attempts since the last quarter hour, including this one."""

    of_address: int
    from_ip: int


class LoginCounters:
    """The counters. Raises BrokerUnavailable, and BrokerFull while Redis is over its `maxmemory`."""

    def __init__(self, redis: Redis, keys: RedisKeys) -> None:
        self._redis = redis
        self._keys = keys

    async def count(self, email_address: str, client_ip: str, now: datetime) -> Tries:
        """Count one attempt."""
        address, ip = self._address(email_address), self._ip(client_ip)
        with translated():
            async with self._redis.pipeline(transaction=True) as pipeline:
                pipeline.incr(address)
                pipeline.incr(ip)
                _end_with_window(pipeline, now, address, ip)
                of_address, from_ip, *_ = await pipeline.execute()
        return Tries(of_address, from_ip)

    async def forgive(self, email_address: str, client_ip: str, now: datetime) -> None:
        """Forget attempts after a successful login: all for the address, the last one from the IP."""
        ip = self._ip(client_ip)
        with translated():
            async with self._redis.pipeline(transaction=True) as pipeline:
                pipeline.delete(self._address(email_address))
                pipeline.decr(ip)
                # If the counter has expired since, DECR makes a new one, which must expire as well.
                _end_with_window(pipeline, now, ip)
                await pipeline.execute()

    async def take_back(self, email_address: str, client_ip: str, now: datetime) -> None:
        """Uncount the last attempt, which revealed nothing about the password."""
        address, ip = self._address(email_address), self._ip(client_ip)
        with translated():
            async with self._redis.pipeline(transaction=True) as pipeline:
                pipeline.decr(address)
                pipeline.decr(ip)
                _end_with_window(pipeline, now, address, ip)
                await pipeline.execute()

    async def count_in_hour(self, kind: str, client_ip: str, now: datetime) -> int:
        """Count one request of that kind from the IP; returns their number since the full hour."""
        key = self._keys.login_tries(kind, client_ip)
        with translated():
            async with self._redis.pipeline(transaction=True) as pipeline:
                pipeline.incr(key)
                _end_with_window(pipeline, now, key, window_seconds=_HOUR_SECONDS)
                tries, *_ = await pipeline.execute()
        return int(tries)

    def _address(self, email_address: str) -> str:
        """Hashes the address, which is private and of any length."""
        digest = hashlib.sha256(email_address.encode("utf-8", "surrogatepass"))
        return self._keys.login_tries("address", digest.hexdigest())

    def _ip(self, client_ip: str) -> str:
        return self._keys.login_tries("ip", client_ip)


def _end_with_window(
    pipeline: Pipeline, now: datetime, *keys: str, window_seconds: int = _WINDOW_SECONDS
) -> None:
    """Set a relative expiry, because Redis's clock may differ from ours."""
    left = window_seconds - int(now.timestamp()) % window_seconds
    for key in keys:
        pipeline.expire(key, left)

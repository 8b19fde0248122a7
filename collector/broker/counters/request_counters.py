"""Counts the requests of organizations, users and IPs since the last quarter hour, over all processes.

The number of the quarter hour is part of a counter's name, so a new one begins at 0 even if the old one has
not expired.
"""

from collections.abc import Sequence
from typing import Final

from redis.asyncio import Redis

from collector.broker.errors import translated
from collector.broker.keys import RedisKeys

WINDOW_SECONDS: Final = 900
_LIMIT: Final = "request_limit"


class RequestCounters:
    """The counters. Raises BrokerUnavailable, and BrokerFull while Redis is over its `maxmemory`."""

    def __init__(self, redis: Redis, keys: RedisKeys) -> None:
        self._redis = redis
        self._keys = keys

    async def count(self, who: str, now_seconds: int) -> int:
        """Count one request; returns the number including it."""
        window, gone_by = divmod(now_seconds, WINDOW_SECONDS)
        key = self._keys.requests(who, window)
        with translated():
            async with self._redis.pipeline(transaction=True) as pipeline:
                pipeline.incr(key)
                pipeline.expire(key, WINDOW_SECONDS - gone_by)
                number, _ = await pipeline.execute()
        return int(number)

    async def note_limit(self, limit: int) -> int | None:
        """Store the limit that a process enforces; returns the one that was stored before."""
        with translated():
            before = await self._redis.hget(self._keys.settings, _LIMIT)
            await self._redis.hset(self._keys.settings, _LIMIT, str(limit))
        return int(before) if before is not None and before.isdigit() else None

    async def counted(self, whos: Sequence[str], now_seconds: int) -> list[int]:
        """The number of requests of each, without counting one."""
        window = now_seconds // WINDOW_SECONDS
        with translated():
            async with self._redis.pipeline(transaction=False) as pipeline:
                for who in whos:
                    pipeline.get(self._keys.requests(who, window))
                return [int(number or 0) for number in await pipeline.execute()]

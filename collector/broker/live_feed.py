"""The channel on which workers announce what they have stored: one message for many transactions.

A lost message costs nothing: the pages that count events read them from Postgres.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, suppress
from typing import Final

import msgspec
from redis.asyncio import Redis

from collector.broker.channel import messages
from collector.broker.errors import BrokerFull, BrokerUnavailable, translated
from collector.broker.keys import RedisKeys

_PUBLISH_SECONDS: Final = 1.0
"""How long a worker waits for Redis; the channel may have no subscribers."""
_HEARTBEAT_SECONDS: Final = 5.0

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(dict[bytes, int]).decode


class LiveFeed:
    """The channel; projects are named by the 16 bytes of their ids."""

    def __init__(self, redis: Redis, keys: RedisKeys) -> None:
        self._redis = redis
        self._keys = keys

    async def publish(self, stored: Mapping[bytes, int]) -> None:
        """Announce how many events of each project were stored. Never fails."""
        with suppress(BrokerUnavailable, BrokerFull, TimeoutError):
            async with asyncio.timeout(_PUBLISH_SECONDS):
                with translated():
                    await self._redis.publish(self._keys.live, _encode(stored))

    async def follow(self) -> AsyncIterator[Mapping[bytes, int]]:
        """What is announced from now on; an empty mapping once that has begun, and now and then.

        Raises BrokerUnavailable when the channel is lost.
        """
        async with aclosing(messages(self._redis, self._keys.live, _HEARTBEAT_SECONDS)) as found:
            async for data in found:
                with suppress(msgspec.DecodeError, msgspec.ValidationError):
                    yield {} if data is None else _decode(data)

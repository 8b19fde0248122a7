"""Following a channel whose loss is noticed: a quiet channel answers pings, a dead one does not."""

from collections.abc import AsyncGenerator
from typing import Any

from redis.asyncio import Redis

from collector.broker.errors import BrokerUnavailable, translated


async def messages(redis: Redis, name: str, heartbeat_seconds: float) -> AsyncGenerator[bytes | None, None]:
    """What is published from now on, and None at least every `heartbeat_seconds` while nothing is.

    Raises BrokerUnavailable when the channel is lost: messages may have been missed.
    """
    with translated():
        async with redis.pubsub() as channel:
            await channel.subscribe(name)
            is_pinged = False
            while True:
                message: Any = await channel.get_message(timeout=heartbeat_seconds)
                # Silence is normal; the ping tells a quiet channel from a dead one.
                if message is None and is_pinged:
                    raise BrokerUnavailable(f"the channel {name} does not answer pings")
                is_pinged = message is None
                if message is None:
                    await channel.ping()
                else:
                    yield message["data"] if message["type"] == "message" else None

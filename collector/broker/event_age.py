"""The age of events that workers agree on, kept next to the queue for ingest, which has no Postgres."""

from typing import Final

from redis.asyncio import Redis

from collector.broker.errors import translated
from collector.broker.keys import RedisKeys

_FIELD: Final = "max_event_age_days"


async def publish_event_age(redis: Redis, keys: RedisKeys, days: int) -> None:
    """Store the workers' value (0: no limit). Raises BrokerUnavailable and BrokerFull."""
    with translated():
        await redis.hset(keys.settings, _FIELD, str(days))


async def published_event_age(redis: Redis, keys: RedisKeys) -> int | None:
    """The workers' value; None before the first worker, and if it is invalid. Raises BrokerUnavailable."""
    with translated():
        stored = await redis.hget(keys.settings, _FIELD)
    return int(stored) if stored is not None and stored.isdigit() else None

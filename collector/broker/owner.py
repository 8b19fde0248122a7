"""Records which database belongs to the queue, to detect a process that is started with another one.

A worker on the wrong database would store events where no user sees them, and replace the token projection.
"""

from typing import Final

import structlog
from redis.asyncio import Redis

from collector.broker.errors import BrokerFull, BrokerUnavailable, translated
from collector.broker.keys import RedisKeys
from collector.process.settings import without_password

_DATABASE: Final = "database"

_log = structlog.get_logger()


async def compare_database(redis: Redis, keys: RedisKeys, database_id: str, database_url: str) -> None:
    """Record the database next to the queue, and log an error if it was another one until now."""
    try:
        with translated():
            before = await redis.hget(keys.settings, _DATABASE)
            await redis.hset(keys.settings, _DATABASE, database_id)
    except (BrokerUnavailable, BrokerFull):
        return
    known = before.decode() if isinstance(before, bytes) else before
    if known not in {None, database_id}:
        _log.error(
            f"this queue belonged to the database {known} until now, and {without_password(database_url)} is"
            f" {database_id}; do all processes have the same HEADRACE_DATABASE_URL, HEADRACE_REDIS_URL and"
            " HEADRACE_REDIS_KEY_PREFIX?"
        )

"""A connection to the queue, for commands that need no Postgres."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from redis.asyncio import Redis

from collector.admin.servers import found_servers
from collector.admin.system import errors_in_one_line
from collector.broker.connection import check_server, connect
from collector.broker.keys import RedisKeys
from collector.process.logging import configure_logging
from collector.process.settings import RedisSettings, read_settings

_TIMEOUT_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Queue:
    """The Redis server, and the names of its keys."""

    redis: Redis
    keys: RedisKeys


@asynccontextmanager
async def open_queue(environ: Mapping[str, str], data_dir: Path | None) -> AsyncIterator[Queue]:
    """Connect to the queue for the block. Turns every error in the block into a StartError."""
    with found_servers(environ, data_dir) as found:
        settings = read_settings(RedisSettings, found)
        configure_logging(settings, "operator")
        with errors_in_one_line():
            redis = connect(settings.redis_url, socket_timeout_seconds=_TIMEOUT_SECONDS)
            try:
                await check_server(redis, settings.redis_url)
                yield Queue(redis, RedisKeys(settings.redis_key_prefix))
            finally:
                await redis.aclose()

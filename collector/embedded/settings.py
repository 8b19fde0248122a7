"""The settings of `headrace up`; those of its children are passed on to them."""

from typing import Annotated

from msgspec import Meta

from collector.embedded.servers.valkey import QUEUE_MEMORY_MB
from collector.process.settings import DatabaseUrl, Port, RedisUrl, Settings


class UpSettings(Settings, frozen=True, kw_only=True):
    """What `headrace up` reads from the environment; an empty URL means an embedded server."""

    redis_url: RedisUrl = ""
    database_url: DatabaseUrl = ""
    host: str = "127.0.0.1"
    port: Port = 8080
    embedded_queue_memory_mb: Annotated[
        int, Meta(ge=16, le=1_000_000, description="a number of megabytes, 16 or more")
    ] = QUEUE_MEMORY_MB

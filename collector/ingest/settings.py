"""The settings of ingest."""

from typing import Annotated, Literal

from msgspec import Meta

from collector.process.settings import (
    EventAgeDays,
    Port,
    ProxyHeader,
    RedisSettings,
    RequestLimit,
    ShardCount,
)


class IngestSettings(RedisSettings, frozen=True, kw_only=True):
    """The settings that ingest reads from the environment."""

    host: str = "127.0.0.1"
    port: Port = 8080
    reuse_port: bool = False
    shards: ShardCount | None = None
    body_limit_bytes: Annotated[
        int, Meta(ge=1, le=100_000_000, description="a number of bytes, 1 to 100000000")
    ] = 200_000
    max_event_age_days: EventAgeDays | None = None
    durability: Literal["strict", "relaxed"] = "strict"
    stale_token_seconds: Annotated[int, Meta(ge=0, description="a number of seconds, 0 or more")] = 900
    submission_disabled: bool = False
    request_limit: RequestLimit = 0
    queue_high_percent: Annotated[int, Meta(ge=1, le=80, description="a percentage, 1 to 80")] = 80
    queue_disk: Annotated[str, Meta(description="a folder on the queue's disk")] = ""
    queue_disk_free_bytes: Annotated[int, Meta(ge=0, description="a number of bytes, 0 or more")] = (
        268_435_456
    )
    connections: Annotated[
        int, Meta(ge=1, le=1_000_000, description="a number of connections, 1 or more")
    ] = 10_000
    trusted_proxies: tuple[str, ...] = ()
    proxy_header: ProxyHeader = "x-forwarded-for"

"""The worker's settings."""

from typing import Annotated, Literal

from msgspec import Meta

from collector.process.settings import (
    DatabaseUrl,
    EventAgeDays,
    Port,
    RedisSettings,
    RetentionDays,
    ShardCount,
)


class WorkerSettings(RedisSettings, frozen=True, kw_only=True):
    """What the worker reads from the environment."""

    host: str = "127.0.0.1"
    port: Port = 8082
    database_url: DatabaseUrl
    shards: ShardCount | None = None
    max_event_age_days: EventAgeDays = 3
    retention_days: RetentionDays = 30
    reference_window_minutes: Annotated[
        int, Meta(ge=0, le=720, description="a number of minutes, 0 (off) to 720")
    ] = 60
    body_limit_bytes: Annotated[
        int, Meta(ge=1, le=100_000_000, description="a number of bytes, 1 to 100000000")
    ] = 200_000
    geoip_file: str = ""
    sessions: Literal["on", "off"] = "on"
    batch_entries: Annotated[int, Meta(ge=1, le=1000, description="a number of entries, 1 to 1000")] = 256
    read_block_ms: Annotated[
        int, Meta(ge=10, le=10_000, description="a number of milliseconds, 10 to 10000")
    ] = 1000
    claim_idle_seconds: Annotated[
        int, Meta(ge=1, le=86_400, description="a number of seconds, 1 to 86400")
    ] = 15
    unpacked_memory_mb: Annotated[
        int, Meta(ge=1, le=1_000_000, description="a number of megabytes, 1 or more")
    ] = 32

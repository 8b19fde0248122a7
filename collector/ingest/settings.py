"""The door's settings."""

from typing import Annotated, Literal

from msgspec import Meta

from collector.process.settings import Port, RedisSettings


class IngestSettings(RedisSettings, frozen=True, kw_only=True):
    """What the door reads from the environment."""

    host: str = "127.0.0.1"
    port: Port = 8080
    reuse_port: bool = False
    body_limit_bytes: Annotated[
        int, Meta(ge=1, le=100_000_000, description="a number of bytes, 1 to 100000000")
    ] = 200_000
    durability: Literal["strict", "relaxed"] = "strict"
    stale_token_seconds: Annotated[int, Meta(ge=0, description="a number of seconds, 0 or more")] = 900
    submission_disabled: bool = False
    trusted_proxies: tuple[str, ...] = ()

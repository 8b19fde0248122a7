"""The api's settings."""

from typing import Annotated

from msgspec import Meta

from collector.process.settings import (
    DatabaseUrl,
    Port,
    ProxyHeader,
    RedisSettings,
    RequestLimit,
    RetentionDays,
)


class ApiSettings(RedisSettings, frozen=True, kw_only=True):
    """The settings of the api process, from the environment."""

    database_url: DatabaseUrl
    host: str = "127.0.0.1"
    port: Port = 8081
    database_connections: Annotated[
        int, Meta(ge=1, le=1000, description="a number of connections, 1 to 1000")
    ] = 8
    trusted_proxies: tuple[str, ...] = ()
    proxy_header: ProxyHeader = "x-forwarded-for"
    sign_up_enabled: bool = False
    request_limit: RequestLimit = 0
    retention_days: RetentionDays | None = None

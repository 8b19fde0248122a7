"""Redis clients without hidden retries and with bounded waits, and the check of the server at the start."""

import asyncio
from typing import Any, Final

from redis import exceptions
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig

from collector.broker.errors import BrokerUnavailable, is_final, is_reply, translated
from collector.broker.permissions import Commands, denied_commands
from collector.process.lifecycle import ServerError
from collector.process.metrics import ProcessMetrics
from collector.process.settings import NOT_UNDERSTOOD, without_password

CONNECT_TIMEOUT_SECONDS: Final = 2.0
_START_WAIT_SECONDS: Final = 10.0
_MINIMUM_VERSION: Final = (7, 0)
"""The first version whose `XAUTOCLAIM` reports deleted entries and whose `XINFO GROUPS` has a `lag`."""


def connect(url: str, *, socket_timeout_seconds: float, max_connections: int = 16) -> Redis:
    """Return a client that runs each command once: the caller decides about repeats (docs/decisions/0001).

    A caller that finds every connection busy waits for one. `socket_timeout_seconds` must exceed the longest
    blocking read. Raises ServerError for a URL that cannot be understood.
    """
    try:
        pool: Any = BlockingConnectionPool.from_url(
            url,
            max_connections=max_connections,
            timeout=socket_timeout_seconds,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=socket_timeout_seconds,
            socket_connect_timeout=CONNECT_TIMEOUT_SECONDS,
            socket_keepalive=True,
            # If enabled, the pool does not notice that the server has closed an idle connection.
            maint_notifications_config=MaintNotificationsConfig(enabled=False),
        )
        pool.connection_class(**pool.connection_kwargs)  # raises for unknown options
    except (ValueError, TypeError):  # the error's text may contain a part of the password
        raise ServerError(f"{without_password(url)} {NOT_UNDERSTOOD}", "redis_url") from None
    return Redis.from_pool(pool)


def watch_connections(redis: Redis, pool: str, metrics: ProcessMetrics) -> None:
    """Show the client's connections in the metrics under this name."""
    connections: Any = redis.connection_pool

    def idle() -> int:
        return int(connections.get_connection_count()[0][0])

    def in_use() -> int:
        return int(connections.get_connection_count()[1][0])

    metrics.watch_pool(pool, connections.max_connections, in_use, idle)


async def check_server(redis: Redis, url: str, commands: Commands = ()) -> None:
    """Wait a bounded time for the server, and refuse one that is too old or forbids one of the commands.

    Accepts a server that answers but is temporarily unable to work (loading, busy with a script, a replica
    without its primary ...): the process starts, and its readiness reports the cause. Raises ServerError with
    one line that says what was tried.
    """
    try:
        async with asyncio.timeout(_START_WAIT_SECONDS):
            info = await _server_info(redis)
            denied = await denied_commands(redis, commands)
    except (BrokerUnavailable, TimeoutError, exceptions.RedisError) as error:
        # Either the server refuses us (a wrong password), or it could not be reached in time.
        problem = f"Redis at {without_password(url)} refused us: {error}."
        if isinstance(error, TimeoutError) or (isinstance(error, BrokerUnavailable) and not is_final(error)):
            problem = (
                f"cannot reach Redis at {without_password(url)} ({str(error) or 'no answer'}, tried for "
                f"{_START_WAIT_SECONDS:.0f} s); is a Valkey or Redis running there?"
            )
        raise ServerError(problem, "redis_url") from error
    _check_version(info, url)
    if denied:
        raise ServerError(
            f"Redis at {without_password(url)} does not let our user do {', '.join(denied)}; "
            "allow it with ACL SETUSER.",
            "redis_url",
        )


async def _server_info(redis: Redis) -> dict[str, Any] | None:
    """`INFO server`, or None if the server's state or its ACL does not permit the command."""
    last_error: BrokerUnavailable | None = None
    try:
        while True:
            try:
                with translated():
                    return dict(await redis.info("server"))
            except BrokerUnavailable as error:
                if is_final(error):
                    raise
                if is_reply(error):
                    return None
                last_error = error
            await asyncio.sleep(0.1)
    except asyncio.CancelledError:
        # The caller's time-out: the last error says more than that the time is up.
        if last_error is not None:
            raise last_error from None
        raise


def _check_version(info: dict[str, Any] | None, url: str) -> None:
    """Prefers `valkey_version`: Valkey reports 7.2.4 as its `redis_version`."""
    if info is None:
        return
    name = "Valkey" if "valkey_version" in info else "Redis"
    version = str(info.get("valkey_version") or info.get("redis_version", "0"))
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if numbers < _MINIMUM_VERSION:
        raise ServerError(
            f"{name} at {without_password(url)} is version {version}; Headrace needs Redis 7.0 or newer, "
            "or any Valkey.",
            "redis_url",
        )

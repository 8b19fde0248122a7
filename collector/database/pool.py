"""Connections to Postgres: how a process gets them, their session settings, and which servers we support."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Final, TypeVar

import asyncpg

from collector.database.errors import DatabaseUnavailable, SessionNotKept, translated
from collector.database.pooler import SESSION_FAULTS, SessionConnection, check_session
from collector.process.lifecycle import ServerError
from collector.process.metrics import ProcessMetrics
from collector.process.settings import NOT_UNDERSTOOD, without_password

OLDEST_MAJOR: Final = 17
"""The first version with the collation `pg_c_utf8`, which folds texts."""
START_SECONDS: Final = 10.0
"""How long a process that starts waits for the server."""

_NAME: Final = "headrace"
_CONNECT_SECONDS: Final = 5.0
_COMMAND_SECONDS: Final = 60.0
_ACQUIRE_SECONDS: Final = 5.0
_RELEASE_SECONDS: Final = 3.0
"""How long a connection may take to cancel its command on release; then it is terminated."""
_CLOSE_SECONDS: Final = 5.0
_PAUSE_SECONDS: Final = 0.25

NO_SETTINGS: Final[Mapping[str, str]] = MappingProxyType({})
_SET_PRIVILEGED: Final = """
    SELECT set_config(name, value, false) FROM unnest($1::text[], $2::text[]) AS wanted (name, value)
    WHERE has_parameter_privilege(name, 'SET')
"""

Reached = TypeVar("Reached")


async def create_pool(  # noqa: PLR0913 - each is a bound or a name of its own
    database_url: str,
    *,
    max_size: int,
    application_name: str = _NAME,
    statement_timeout_seconds: int = 0,
    command_timeout_seconds: float = _COMMAND_SECONDS,
    wait_seconds: float = START_SECONDS,
    privileged: Mapping[str, str] = NO_SETTINGS,
) -> asyncpg.Pool:
    """A pool whose server has been reached and is new enough.

    The server enforces the statement timeout (0: none); the driver enforces the command timeout, for a server
    that does not respond. The `privileged` settings apply if our role may change them. Raises StartError with
    one line for the operator.
    """

    async def prepare(connection: asyncpg.Connection) -> None:
        await _prepare(connection, database_url, application_name, statement_timeout_seconds)
        if privileged:
            await connection.execute(_SET_PRIVILEGED, list(privileged), list(privileged.values()))

    async def connect() -> asyncpg.Pool:
        return await asyncpg.create_pool(
            database_url,
            min_size=1,
            max_size=max_size,
            init=prepare,
            reset=_reset,
            timeout=_CONNECT_SECONDS,
            command_timeout=command_timeout_seconds,
            connection_class=SessionConnection,
            server_settings={"application_name": application_name},
        )

    pool = await _reach(database_url, connect, wait_seconds)
    try:
        async with connected(pool) as connection:
            _check_version(connection)
    except BaseException:
        pool.terminate()
        raise
    return pool


def watch_pool(pool: asyncpg.Pool, name: str, metrics: ProcessMetrics) -> None:
    """Show the pool's connections in the metrics under this name."""

    def in_use() -> int:
        return int(pool.get_size() - pool.get_idle_size())

    metrics.watch_pool(name, pool.get_max_size(), in_use, pool.get_idle_size)


async def close_pool(pool: asyncpg.Pool) -> None:
    """Let running queries finish for a bounded time, then terminate them."""
    try:
        async with asyncio.timeout(_CLOSE_SECONDS):
            await pool.close()
    except TimeoutError:
        pool.terminate()


async def connect_once(database_url: str, *, wait_seconds: float = START_SECONDS) -> asyncpg.Connection:
    """One connection outside of any pool, for a short command. Raises StartError."""

    async def connect() -> asyncpg.Connection:
        connection = await asyncpg.connect(
            database_url,
            timeout=_CONNECT_SECONDS,
            command_timeout=_COMMAND_SECONDS,
            connection_class=SessionConnection,
            server_settings={"application_name": _NAME},
        )
        try:
            await _prepare(connection, database_url, _NAME, statement_timeout_seconds=0)
        except BaseException:
            connection.terminate()
            raise
        return connection

    connection = await _reach(database_url, connect, wait_seconds)
    try:
        _check_version(connection)
    except BaseException:
        connection.terminate()
        raise
    return connection


@asynccontextmanager
async def connected(pool: asyncpg.Pool) -> AsyncIterator[asyncpg.Connection]:
    """A connection for one unit of work. Raises DatabaseUnavailable if a retry can help."""
    with translated():
        try:
            connection = await pool.acquire(timeout=_ACQUIRE_SECONDS)
            try:
                yield connection
            finally:
                await pool.release(connection, timeout=_RELEASE_SECONDS)
        except (SessionNotKept, *SESSION_FAULTS) as error:
            # A pooler has changed its mode. That concerns all connections: replace them when next used.
            await pool.expire_connections()
            raise SessionNotKept from error


async def _reach(url: str, connect: Callable[[], Awaitable[Reached]], wait_seconds: float) -> Reached:
    """Try until the server answers or the time is up; fail immediately if waiting cannot help."""
    until = time.monotonic() + wait_seconds
    shown = without_password(url)
    while True:
        try:
            return await connect()
        # Wrong settings end the start immediately; errors that may pass are retried until the time is up.
        except asyncpg.InvalidAuthorizationSpecificationError as error:
            raise ServerError(f"Postgres at {shown} does not let us in: {error}.", "database_url") from None
        except asyncpg.InvalidCatalogNameError as error:
            raise ServerError(f"Postgres at {shown} has no such database: {error}.", "database_url") from None
        except asyncpg.ClientConfigurationError as error:
            raise ServerError(f"{shown} cannot be used: {error}.", "database_url") from None
        except SessionNotKept as error:
            raise ServerError(f"Postgres at {shown} cannot be used: {error}.", "database_url") from None
        except ValueError:  # its text may contain a part of the password
            raise ServerError(f"{shown} {NOT_UNDERSTOOD}", "database_url") from None
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, DatabaseUnavailable) as error:
            if time.monotonic() >= until:
                cause = " ".join(str(error).split()) or type(error).__name__
                raise ServerError(
                    f"cannot reach Postgres at {shown} ({cause}, tried for {wait_seconds:g} s);"
                    " is it running there?",
                    "database_url",
                ) from None
        await asyncio.sleep(_PAUSE_SECONDS)


def _check_version(connection: asyncpg.Connection) -> None:
    major = connection.get_server_version().major
    if major < OLDEST_MAJOR:
        raise ServerError(f"This is PostgreSQL {major}; {OLDEST_MAJOR} or newer is needed.", "database_url")
    encoding = connection.get_settings().server_encoding
    if encoding != "UTF8":
        raise ServerError(f"The database's encoding is {encoding}; it must be UTF8.", "database_url")


async def _prepare(
    connection: asyncpg.Connection, database_url: str, application_name: str, statement_timeout_seconds: int
) -> None:
    """Set up a new connection. `jsonb` is read and written as UTF-8 bytes: callers decode what they need.

    Session settings are made here, because a pooler refuses or ignores them in the startup message.
    """

    async def connect_again() -> asyncpg.Connection:
        return await asyncpg.connect(
            database_url, timeout=_CONNECT_SECONDS, server_settings={"application_name": application_name}
        )

    await check_session(connection, connect_again)
    await connection.execute(
        f"SET statement_timeout = '{statement_timeout_seconds}s'; SET timezone = 'UTC';"
        # Our statements are short: compiling one over many partitions costs more than it saves.
        " SET jit = off;"
        # One core for each statement: a search with several would slow down all others.
        " SET max_parallel_workers_per_gather = 0;"
        # A database or role may have other defaults, but our statements rely on these.
        " SET datestyle = 'ISO, YMD'; SET intervalstyle = 'postgres'; SET standard_conforming_strings = on;"
        " SET default_transaction_isolation = 'read committed'"
    )
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=lambda text: b"\x01" + text,
        decoder=lambda wire: bytes(wire[1:]),
        format="binary",
    )


async def _reset(connection: asyncpg.Connection) -> None:
    """The driver's own reset without RESET ALL, which would undo the settings of `_prepare`."""
    await connection.execute("SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *")

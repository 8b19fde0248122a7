"""Detects poolers in transaction mode, where a connection does not keep its session between transactions.

We rely on sessions for prepared statements, settings, and the locks of migrations. In another client's
session they would be missing, or that client's would be used.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Final

import asyncpg

from collector.database.errors import DatabaseUnavailable, SessionNotKept

SESSION_FAULTS: Final = (asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError)
"""A statement that was prepared in one session and is used in another: it is missing or in conflict there."""

_NO_TRANSACTIONS: Final = "statement pooling mode"
"""Part of PgBouncer's answer to BEGIN in that mode, after which it closes the connection."""

_ROUNDS: Final = 5
_SECOND_SECONDS: Final = 3.0
_PREFIX: Final = f"__headrace_{secrets.token_hex(6)}"


class SessionConnection(asyncpg.Connection):  # type: ignore[misc]  # it has no types
    """A connection whose prepared statements have names that no other process uses.

    The driver counts from 1 in every process. After a pooler is switched to transaction mode, another
    process's statement of the same name would be executed instead of ours.
    """

    def _get_unique_id(self, prefix: str) -> str:
        return f"{_PREFIX}{super()._get_unique_id(prefix)}"


async def check_session(
    connection: asyncpg.Connection, connect: Callable[[], Awaitable[asyncpg.Connection]]
) -> None:
    """Raise SessionNotKept unless the connection has a server process to itself.

    Poolers give their clients invented process ids. If that indicates one, `connect` opens a second
    connection to the same address: in transaction mode, two clients get the same server process, or one
    client gets several, within a few short transactions.
    """
    try:
        own = await _server_process(connection)
        if own == connection.get_server_pid():
            return
        second = await connect()
        try:
            await _compare(connection, own, second)
        finally:
            second.terminate()
    except SESSION_FAULTS as error:
        raise SessionNotKept from error
    except asyncpg.PostgresConnectionError as error:
        if _NO_TRANSACTIONS in str(error):
            raise SessionNotKept from error
        raise


async def _compare(connection: asyncpg.Connection, own: int, second: asyncpg.Connection) -> None:
    try:
        async with asyncio.timeout(_SECOND_SECONDS):
            for _ in range(_ROUNDS):
                # The pooler gives the second connection the server process that the first has just left,
                # unless another client leaves one in between.
                if await _server_process(connection) != own:
                    raise SessionNotKept
                # While the second connection is in a transaction, the first cannot get its server process.
                async with second.transaction():
                    other = await _server_process(second)
                    if other == own or await _server_process(connection) != own:
                        raise SessionNotKept
    except TimeoutError:
        raise DatabaseUnavailable(
            "the pooler has no second connection for us; raise its default_pool_size"
        ) from None


async def _server_process(connection: asyncpg.Connection) -> int:
    # Unnamed, so that it cannot conflict with a statement that is prepared already.
    statement = await connection.prepare("SELECT pg_backend_pid()", name="", timeout=_SECOND_SECONDS)
    process_id: int = await statement.fetchval(timeout=_SECOND_SECONDS)
    return process_id

"""Whether a connection keeps its session: a pooler in transaction mode takes it away between statements.

We rely on sessions: prepared statements, settings, and locks of migrations live in them. In another's session
they would be missing, or another's would be used.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Final

import asyncpg

from collector.database.errors import DatabaseUnavailable, SessionNotKept

SESSION_FAULTS: Final = (asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError)
"""What is prepared on one server and used on another is missing there, or stands in the way."""

_NO_TRANSACTIONS: Final = "statement pooling mode"
"""In PgBouncer's answer to BEGIN in that mode, after which it hangs up."""

_ROUNDS: Final = 5
_SECOND_SECONDS: Final = 3.0
_PREFIX: Final = f"__headrace_{secrets.token_hex(6)}"


class SessionConnection(asyncpg.Connection):  # type: ignore[misc]  # it has no types
    """A connection whose prepared statements are named like those of no other process.

    The driver counts from 1 in every process. Behind a pooler that has been switched to transaction mode, a
    statement of another process would then be executed in place of ours.
    """

    def _get_unique_id(self, prefix: str) -> str:
        return f"{_PREFIX}{super()._get_unique_id(prefix)}"


async def check_session(
    connection: asyncpg.Connection, connect: Callable[[], Awaitable[asyncpg.Connection]]
) -> None:
    """Raise SessionNotKept unless the connection has a server process to itself.

    `connect` opens a second one to the same address, where a pooler stands between: poolers give clients
    process ids of their own. In transaction mode two clients get the same server process, or one client gets
    several, within a few short transactions.
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
                # While the second one is in a transaction, its server process is not given to the first.
                async with second.transaction():
                    others = await _server_process(second)
                    if others == own or await _server_process(connection) != own:
                        raise SessionNotKept
    except TimeoutError:
        raise DatabaseUnavailable(
            "the pooler has no second connection for us; raise its default_pool_size"
        ) from None


async def _server_process(connection: asyncpg.Connection) -> int:
    # Without a name, for one that is in the way already is no reason to fail.
    statement = await connection.prepare("SELECT pg_backend_pid()", name="", timeout=_SECOND_SECONDS)
    process: int = await statement.fetchval(timeout=_SECOND_SECONDS)
    return process

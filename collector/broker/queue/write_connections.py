"""Connections reserved for writes, one for each concurrent write.

The client's own path looks for a free connection, checks that it is alive and bounds sending and reading
separately, which is most of the cost of a write in this process. Here a single time-out covers everything,
and a dead connection fails the write that uses it; a retry opens a new one.
"""

import asyncio
from typing import Any

from redis.asyncio import Redis


class WriteConnections:
    """Holds connections of the client from their first write on; closing the client closes them."""

    def __init__(self, redis: Redis) -> None:
        self._pool: Any = redis.connection_pool
        self._timeout_seconds: float | None = self._pool.connection_kwargs.get("socket_timeout")
        self._idle: list[Any] = []

    async def run(self, *command: object) -> Any:
        """Send a command and wait for its reply, within the client's socket time-out. Raises its errors."""
        async with asyncio.timeout(self._timeout_seconds):
            if self._idle:
                connection = self._idle.pop()
            else:
                connection = await self._pool.get_connection()
                connection.socket_timeout = None
            try:
                await connection.send_command(*command)
                return await connection.read_response()
            finally:
                self._idle.append(connection)

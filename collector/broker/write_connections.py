"""Connections kept for writes that come one after the other, as many as there are writes at once.

The client's own way looks for a free connection, asks it whether it is alive and bounds sending and reading
each by itself: most of what a write costs this process. Here one bound is around it all, and a connection
that has died fails the write that finds out; whoever repeats it gets a new one.
"""

import asyncio
from typing import Any

from redis.asyncio import Redis


class WriteConnections:
    """The client's connections, held from their first write on; closing the client closes them."""

    def __init__(self, redis: Redis) -> None:
        self._pool: Any = redis.connection_pool
        self._timeout_seconds: float | None = self._pool.connection_kwargs.get("socket_timeout")
        self._idle: list[Any] = []

    async def run(self, *command: object) -> Any:
        """Send a command and wait for its reply, within the client's socket time-out. Raises its errors."""
        async with asyncio.timeout(self._timeout_seconds):
            connection = self._idle.pop() if self._idle else await self._new()
            try:
                await connection.send_command(*command)
                return await connection.read_response()
            finally:
                self._idle.append(connection)

    async def _new(self) -> Any:
        connection = await self._pool.get_connection()
        connection.socket_timeout = None
        return connection

"""Room for what is in hand: a number of bytes that all who work share."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Room:
    """So many bytes; what is larger than all of them is let in when nothing else is there."""

    def __init__(self, limit_bytes: int) -> None:
        self.used_bytes = 0
        self._limit_bytes = limit_bytes
        self._turn = asyncio.Lock()
        self._freed = asyncio.Event()

    @asynccontextmanager
    async def hold(self, size_bytes: int) -> AsyncIterator[None]:
        """Wait for room, first come, first served: a large one is not passed by small ones without an end."""
        async with self._turn:
            while self.used_bytes and self.used_bytes + size_bytes > self._limit_bytes:
                self._freed.clear()
                await self._freed.wait()
            self.used_bytes += size_bytes
        try:
            yield
        finally:
            self.used_bytes -= size_bytes
            self._freed.set()

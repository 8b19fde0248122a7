"""A byte budget shared by the worker's slots: bounds the memory of unpacked entries, or of their rows."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Room:
    """A number of bytes to hold; a request for more than that is admitted when nothing else is held."""

    def __init__(self, limit_bytes: int) -> None:
        self.used_bytes = 0
        self._limit_bytes = limit_bytes
        self._queue = asyncio.Lock()
        self._freed = asyncio.Event()

    @asynccontextmanager
    async def hold(self, size_bytes: int) -> AsyncIterator[None]:
        """Wait for room, first come, first served, so that small requests cannot starve a large one."""
        async with self._queue:
            # A request larger than the whole budget waits until nothing else is held, and then gets it.
            while self.used_bytes and self.used_bytes + size_bytes > self._limit_bytes:
                self._freed.clear()
                await self._freed.wait()
            self.used_bytes += size_bytes
        try:
            yield
        finally:
            self.used_bytes -= size_bytes
            self._freed.set()

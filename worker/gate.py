"""Lets work run side by side, or one piece of work alone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Gate:
    """Shared work runs together; work that has to be alone waits for it and goes before what comes later."""

    def __init__(self) -> None:
        self._sharing = 0
        self._entry = asyncio.Lock()
        self._left = asyncio.Event()

    @asynccontextmanager
    async def shared(self) -> AsyncIterator[None]:
        """Run the block beside other shared work, once no work is alone or waits to be."""
        async with self._entry:
            self._sharing += 1
        try:
            yield
        finally:
            self._sharing -= 1
            self._left.set()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Run the block beside nothing. A block that shares must leave before it asks for this."""
        async with self._entry:
            while self._sharing:
                self._left.clear()
                await self._left.wait()
            yield

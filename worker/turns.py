"""How the lanes share a worker: the first has most of it while it needs it, and none waits for good.

Each lane has slots of its own, so that none blocks another, but all share the processor and Postgres.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turns:
    """While the first lane has work, all later lanes together store one transaction at a time.

    Otherwise they use all of their slots: a project alone has the whole worker in any lane.
    """

    def __init__(self) -> None:
        self._first = 0
        self._one_at_a_time = asyncio.Lock()

    @asynccontextmanager
    async def take(self, lane: int) -> AsyncIterator[None]:
        """Store one transaction of this lane in the block; later lanes get turns in the order they ask."""
        if not lane:
            self._first += 1
            try:
                yield
            finally:
                self._first -= 1
        elif self._first:
            async with self._one_at_a_time:
                yield
        else:
            yield

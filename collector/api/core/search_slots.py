"""Search slots: limits how many searches run at the same time, in total and per client.

A search may occupy a connection and a core of Postgres for seconds. The limit leaves connections for logging
in, creating tokens and looking up references; the limit per client keeps one client's searches from
delaying those of others.
"""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from collector.domain.errors import Unavailable

WAIT_SECONDS: Final = 5.0

_TOO_MANY: Final = "Too many searches are running; please try again in a moment."


class FairSemaphore:
    """At most `total` slots, and `per_client` of them for one client; waiting clients are served in turn."""

    def __init__(self, total: int, per_client: int, wait_seconds: float = WAIT_SECONDS) -> None:
        self._free = total
        self._per_client = per_client
        self._wait_seconds = wait_seconds
        self._running: Counter[str] = Counter()
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def slot(self, client: str, *, longest_seconds: float) -> AsyncIterator[None]:
        """Hold a slot inside the block; waits for one up to the semaphore's `wait_seconds`.

        Raises Unavailable after that. A holder frees its slot within `longest_seconds`: the `Retry-After`.
        """
        # A free slot, or a place behind the client's own searches.
        if self._may_start(client):
            self._start(client)
        else:
            granted = asyncio.get_running_loop().create_future()
            self._waiting.setdefault(client, deque()).append(granted)
            try:
                async with asyncio.timeout(self._wait_seconds):
                    await granted
            except (TimeoutError, asyncio.CancelledError) as error:
                # The slot may have been granted in the same moment: then it is ours to release.
                if not granted.cancelled():
                    self._release(client)
                if isinstance(error, TimeoutError):
                    raise Unavailable(_TOO_MANY, retry_after_seconds=round(longest_seconds)) from None
                raise
        try:
            yield
        finally:
            self._release(client)

    def _may_start(self, client: str) -> bool:
        return self._free > 0 and self._running[client] < self._per_client

    def _start(self, client: str) -> None:
        self._free -= 1
        self._running[client] += 1

    def _release(self, client: str) -> None:
        """Free a slot, and grant the free slots to waiting clients: one each, then that client goes last."""
        self._free += 1
        self._running[client] -= 1
        if not self._running[client]:
            del self._running[client]
        for other, waiting in list(self._waiting.items()):
            # Futures of searches that have given up.
            while waiting and waiting[0].cancelled():
                waiting.popleft()
            if waiting and not self._may_start(other):
                continue
            del self._waiting[other]
            if waiting:
                waiting.popleft().set_result(None)
                self._start(other)
            # Inserted again, the client stands behind all others.
            if waiting:
                self._waiting[other] = waiting

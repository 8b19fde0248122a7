"""When each request begins: in turn by client, so that one with thousands of requests does not delay others.

All requests share one event loop. Those that arrive together would all be begun before it looks at its
sockets again: 4,000 connections of one client with a post each kept every other client waiting for half a
second. So requests begin for a few milliseconds at a time. Those that do not fit wait, and each client with
waiting requests begins one of them before another begins two.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

TICK_SECONDS: Final = 0.005
"""How long requests may be begun before the loop looks at its sockets again."""
ROUTED_SECONDS: Final = 0.0005
"""What a request that takes no fast path is charged: what it costs is not known when it begins."""


class RequestTurns:
    """The requests of a listener that wait for their turn: at most one of each connection."""

    def __init__(self) -> None:
        self._spent = 0.0
        self._waiting: dict[str, deque[Callable[[], None]]] = {}

    @property
    def is_free(self) -> bool:
        """Whether a request may begin now."""
        return self._spent < TICK_SECONDS and not self._waiting

    def spend(self, seconds: float) -> None:
        """Note the time that a request took to begin."""
        if not self._spent:
            asyncio.get_running_loop().call_soon(self._begin_waiting)
        self._spent += seconds

    def wait(self, client: str, begin: Callable[[], None]) -> None:
        """Call `begin` when it is this client's turn; `begin` notes what it has spent."""
        self._waiting.setdefault(client, deque()).append(begin)

    async def turn(self, client: str) -> None:
        """Return when it is this client's turn for a request that takes no fast path."""
        if self.is_free:
            self.spend(ROUTED_SECONDS)
            return
        begun = asyncio.get_running_loop().create_future()

        def begin() -> None:
            # The client may have disconnected.
            if not begun.done():
                self.spend(ROUTED_SECONDS)
                begun.set_result(None)

        self.wait(client, begin)
        await begun

    def _begin_waiting(self) -> None:
        """Begin waiting requests: one of each client, then that client goes last."""
        self._spent = 0.0
        while self._waiting and self._spent < TICK_SECONDS:
            client = next(iter(self._waiting))
            waiting = self._waiting.pop(client)
            begin = waiting.popleft()
            if waiting:
                self._waiting[client] = waiting
            begin()

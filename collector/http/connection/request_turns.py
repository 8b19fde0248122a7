"""When each request begins: in turn by client, so that one with thousands does not delay others.

All requests share one event loop. Those that arrive together would all be begun before it looks at its
sockets again: 4,000 connections of one client with a post each kept every other client waiting for half a
second. So requests begin for a few milliseconds at a time. Those that do not fit wait, and each client with
waiting requests begins one of them before another begins two. What a request costs is not known when it
begins: the longer the loop takes for a round, the fewer begin in the next. (docs/decisions/0032)
"""

import asyncio
from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import Final

TICK_SECONDS: Final = 0.005
"""How long requests may be begun before the loop looks at its sockets again."""
ROUTED_SECONDS: Final = 0.0005
"""The least that a request is charged that takes no fast path."""
_SLOW_ROUND_SECONDS: Final = 2 * TICK_SECONDS
_DEARER: Final = 2.0
_CHEAPER: Final = 0.9


class RequestTurns:
    """The requests of a listener that wait for their turn: at most one of each connection."""

    def __init__(self) -> None:
        self._spent = 0.0
        self._began = 0.0
        self._waiting: dict[str, deque[Callable[[], None]]] = {}
        self.routed_seconds = ROUTED_SECONDS
        """What a request that takes no fast path is charged now: at most a whole tick."""

    @property
    def is_free(self) -> bool:
        """Whether a request may begin now."""
        return self._spent < TICK_SECONDS and not self._waiting

    def spend(self, seconds: float) -> None:
        """Note the time that a request took to begin."""
        if not self._spent:
            self._began = perf_counter()
            asyncio.get_running_loop().call_soon(self._begin_waiting)
        self._spent += seconds

    def wait(self, client: str, begin: Callable[[], None]) -> None:
        """Call `begin` when it is this client's turn; `begin` notes what it has spent."""
        self._waiting.setdefault(client, deque()).append(begin)

    async def turn(self, client: str) -> None:
        """Return when it is this client's turn for a request that takes no fast path."""
        if self.is_free:
            self.spend(self.routed_seconds)
            return
        begun = asyncio.get_running_loop().create_future()

        def begin() -> None:
            # The client may have disconnected.
            if not begun.done():
                self.spend(self.routed_seconds)
                begun.set_result(None)

        self.wait(client, begin)
        await begun

    def _begin_waiting(self) -> None:
        """Begin waiting requests: one of each client, then that client goes last."""
        self._spent = 0.0
        factor = _DEARER if perf_counter() - self._began > _SLOW_ROUND_SECONDS else _CHEAPER
        self.routed_seconds = min(max(self.routed_seconds * factor, ROUTED_SECONDS), TICK_SECONDS)
        try:
            while self._waiting and self._spent < TICK_SECONDS:
                client = next(iter(self._waiting))
                waiting = self._waiting.pop(client)
                begin = waiting.popleft()
                if waiting:
                    self._waiting[client] = waiting
                begin()
        finally:
            # After an error of one request, too: while others wait, no new one would call this.
            if self._waiting and not self._spent:
                asyncio.get_running_loop().call_soon(self._begin_waiting)

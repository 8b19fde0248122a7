"""Whose turn it is to search: some of the connections are for searches, and nobody has all of those.

A search may keep a connection, and a core of Postgres, for seconds. However many are asked for, there are
connections left for whoever logs in, makes a token or looks up a reference; and whoever asks for many waits
behind himself.
"""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from collector.domain.errors import Unavailable

WAIT_SECONDS: Final = 5.0

_TOO_MANY: Final = "Too many searches are under way; please ask again in a moment."


class FairSemaphore:
    """At most `at_once` turns, and `of_one` of the same asker; the askers who wait take turns, too."""

    def __init__(self, at_once: int, of_one: int, wait_seconds: float = WAIT_SECONDS) -> None:
        self._free = at_once
        self._of_one = of_one
        self._wait_seconds = wait_seconds
        self._running: Counter[str] = Counter()
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def turn(self, asker: str, *, longest_seconds: float) -> AsyncIterator[None]:
        """A turn of the asker's, once it comes.

        Raises Unavailable when it does not come soon; those who have one now are done in `longest_seconds`.
        """
        if self._may_begin(asker):
            self._begin(asker)
        else:
            await self._wait(asker, longest_seconds)
        try:
            yield
        finally:
            self._end(asker)

    async def _wait(self, asker: str, longest_seconds: float) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(asker, deque()).append(turn)
        try:
            async with asyncio.timeout(self._wait_seconds):
                await turn
        except TimeoutError:
            self._give_back(asker, turn)
            raise Unavailable(_TOO_MANY, retry_after_seconds=round(longest_seconds)) from None
        except asyncio.CancelledError:
            self._give_back(asker, turn)
            raise

    def _give_back(self, asker: str, turn: asyncio.Future[None]) -> None:
        """A turn may come the moment that it is given up."""
        if not turn.cancelled():
            self._end(asker)

    def _may_begin(self, asker: str) -> bool:
        return self._free > 0 and self._running[asker] < self._of_one

    def _begin(self, asker: str) -> None:
        self._free -= 1
        self._running[asker] += 1

    def _end(self, asker: str) -> None:
        self._free += 1
        self._running[asker] -= 1
        if not self._running[asker]:
            del self._running[asker]
        self._pass_on()

    def _pass_on(self) -> None:
        """Give what is free to those who wait: one to each asker, who then stands behind the others."""
        for asker, waiting in list(self._waiting.items()):
            while waiting and waiting[0].cancelled():
                waiting.popleft()
            if waiting and not self._may_begin(asker):
                continue
            del self._waiting[asker]
            if waiting:
                waiting.popleft().set_result(None)
                self._begin(asker)
            if waiting:
                self._waiting[asker] = waiting

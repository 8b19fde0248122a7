"""Work on a body that would hold up everybody else's requests: in threads, and few at once.

However many ask for it, ingest's own thread gets its share of the time.
"""

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

from collector.domain.errors import Unavailable

AT_ONCE: Final = 2
WAIT_SECONDS: Final = 10.0
WAITING_BYTES: Final = 64 * 1024 * 1024
"""So much of bodies that are read or wait for it; one body alone may be larger."""

_WORTH_A_THREAD_BYTES: Final = 4096
_TOO_MANY: Final = "Too many bodies are being read at once."

Result = TypeVar("Result")


class BoundedExecutor:
    """Whose turn it is."""

    def __init__(
        self,
        at_once: int = AT_ONCE,
        wait_seconds: float = WAIT_SECONDS,
        waiting_bytes: int = WAITING_BYTES,
    ) -> None:
        self._turns = asyncio.Semaphore(at_once)
        self._wait_seconds = wait_seconds
        self._most_bytes = waiting_bytes
        self._bytes = 0

    async def run(self, body: bytes, content_encoding: str, work: Callable[[], Result]) -> Result:
        """What the work on a body answers: at once for a small one, else in a thread, in turn.

        Raises Unavailable when the turn does not come in time, or too much waits for one.
        """
        if len(body) < _WORTH_A_THREAD_BYTES and not content_encoding:
            return work()
        if self._bytes and self._bytes + len(body) > self._most_bytes:
            raise Unavailable(_TOO_MANY)
        self._bytes += len(body)
        try:
            return await self._in_turn(work)
        finally:
            self._bytes -= len(body)

    async def _in_turn(self, work: Callable[[], Result]) -> Result:
        await self._wait()
        try:
            return await asyncio.to_thread(work)
        finally:
            self._turns.release()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(self._wait_seconds):
                await self._turns.acquire()
        except TimeoutError:
            raise Unavailable(_TOO_MANY) from None

"""Work on a body that would hold up everybody else's requests: in threads, and few at once.

However many ask for it, the door's own thread gets its share of the time.
"""

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

from collector.domain.errors import Unavailable

AT_ONCE: Final = 2
WAIT_SECONDS: Final = 10.0

_WORTH_A_THREAD_BYTES: Final = 4096

Result = TypeVar("Result")


class Turns:
    """Whose turn it is."""

    def __init__(self, at_once: int = AT_ONCE, wait_seconds: float = WAIT_SECONDS) -> None:
        self._turns = asyncio.Semaphore(at_once)
        self._wait_seconds = wait_seconds

    async def run(self, body: bytes, content_encoding: str, work: Callable[[], Result]) -> Result:
        """What the work on a body answers: at once for a small one, else in a thread, in turn.

        Raises Unavailable when the turn does not come in time.
        """
        if len(body) < _WORTH_A_THREAD_BYTES and not content_encoding:
            return work()
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
            raise Unavailable("Too many bodies are being read at once.") from None

"""Runs work on request bodies without blocking the event loop, which serves all other clients."""

from collections.abc import Callable
from typing import Final, TypeVar

from collector.ingest.body.sender_pace import SenderPace
from collector.process.bounded_executor import BoundedExecutor

THREADS: Final = 2
WAIT_SECONDS: Final = 10.0
WAITING_BYTES: Final = 64 * 1024 * 1024
"""The size of all bodies that wait or are being parsed; a single body may be larger."""

_INLINE_BYTES: Final = 4096
"""Smaller bodies take less time than passing them to a thread."""

Result = TypeVar("Result")


class BodyExecutor(BoundedExecutor):
    """Threads for work on bodies; small bodies need none."""

    def __init__(
        self, threads: int = THREADS, wait_seconds: float = WAIT_SECONDS, waiting_bytes: int = WAITING_BYTES
    ) -> None:
        self._waiting_bytes = waiting_bytes
        self._pace = SenderPace(wait_seconds)
        super().__init__(
            "bodies",
            threads=threads,
            capacity=waiting_bytes,
            wait_seconds=wait_seconds,
            refusal="Too many bodies are being read at the moment.",
        )

    async def run_for_body(
        self, body: bytes, content_encoding: str, work: Callable[[], Result], sender: bytes
    ) -> Result:
        """Run work on a body: inline if the body is small and not compressed, else as `run_costly`."""
        if len(body) < _INLINE_BYTES and not content_encoding:
            return work()
        return await self.run_costly(body, work, sender)

    async def run_costly(self, body: bytes, work: Callable[[], Result], sender: bytes) -> Result:
        """Run work in a thread, at the pace that its sender may have.

        Raises Unavailable if too much waits for a thread, or none is free in time, and TooManyRequests if too
        much of the sender's waits.
        """
        # A body larger than the capacity is accepted while no other is waiting.
        with self.reserved(min(len(body), self._waiting_bytes)):
            async with self._pace.turn(sender) as turn:
                return await self.run(turn.timed(work), 0)

"""Bounds the share of a core that the bodies of one sender take: each has to rest after its work.

A few hundred bytes may unpack to a post that takes seconds to check, and threads share the interpreter with
the event loop. So one body of a sender is worked on at a time, and the next one only after a rest.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, TypeVar

from collector.domain.errors import TooManyRequests

REST_PER_WORK: Final = 4.0
"""A sender rests this many times as long as its work took: it gets a fifth of a core."""

_WAITING_PER_SENDER: Final = 64
_WAIT_SECONDS: Final = 10.0
_SENDERS_AT_MOST: Final = 1000
"""Of those that rest. Beyond, the rest of the one that began first ends."""
_TITLE: Final = "Checking your posts takes more time than a sender may have; please try again later."

Result = TypeVar("Result")


@dataclass(slots=True)
class _Sender:
    """Those who wait for the sender's turn, and until when it rests."""

    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    present: int = 0
    rests_until: float = 0.0


class Work:
    """Measures the processor time of a turn's work, whatever thread it runs in."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def timed(self, work: Callable[[], Result]) -> Callable[[], Result]:
        """The work, to be run in this turn."""

        def run() -> Result:
            started = time.thread_time()
            try:
                return work()
            finally:
                self.seconds += time.thread_time() - started

        return run


class SenderPace:
    """The turns of all senders."""

    def __init__(self, wait_seconds: float = _WAIT_SECONDS) -> None:
        self._wait_seconds = wait_seconds
        self._senders: dict[bytes, _Sender] = {}

    @asynccontextmanager
    async def turn(self, name: bytes) -> AsyncIterator[Work]:
        """The turn of a sender, for one body. Raises TooManyRequests if too much of the sender's waits."""
        sender, loop = self._senders.setdefault(name, _Sender()), asyncio.get_running_loop()
        if sender.present > _WAITING_PER_SENDER:
            raise TooManyRequests(_TITLE, retry_after_seconds=round(self._wait_seconds))
        sender.present += 1
        work = Work()
        try:
            try:
                async with asyncio.timeout(self._wait_seconds):
                    await sender.turn.acquire()
            except TimeoutError:
                raise TooManyRequests(_TITLE, retry_after_seconds=round(self._wait_seconds)) from None
            try:
                # The sender's turn has come; it may still have to rest from its last work.
                rest_seconds = sender.rests_until - loop.time()
                if rest_seconds > self._wait_seconds:
                    raise TooManyRequests(_TITLE, retry_after_seconds=round(rest_seconds))
                if rest_seconds > 0:
                    await asyncio.sleep(rest_seconds)
                yield work
            finally:
                if work.seconds:
                    sender.rests_until = loop.time() + REST_PER_WORK * work.seconds
                sender.turn.release()
        finally:
            sender.present -= 1
            self._forget_rested(loop.time())

    def _forget_rested(self, now: float) -> None:
        """Drop senders that neither wait nor rest, and the first ones beyond the bound."""
        for name, sender in list(self._senders.items()):
            if sender.present:
                continue
            if sender.rests_until <= now or len(self._senders) > _SENDERS_AT_MOST:
                del self._senders[name]
            else:
                break  # those behind it began later

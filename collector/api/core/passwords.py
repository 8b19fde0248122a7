"""Checks and hashes passwords in threads: hashing is slow on purpose, and only a few may run concurrently.

IPs take turns: one password of each is checked at a time.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Final, TypeVar

from collector.domain.access.password import hash_password, is_password
from collector.process.fair_semaphore import FairSemaphore

_THREADS: Final = max(1, min(4, (os.cpu_count() or 1) // 4))
"""Each hash takes 64 MiB and a tenth of a second of a core, which it spreads over four threads."""
_WAITING_PER_IP: Final = 32
"""Attempts from one IP that wait for their turn; more are refused immediately."""
_WAIT_SECONDS: Final = 10.0
_TOO_MANY: Final = "Too many passwords are being checked right now; please try again."

Result = TypeVar("Result")


class Passwords:
    """Checks and hashes passwords off the event loop."""

    def __init__(self, threads: ThreadPoolExecutor, turns: FairSemaphore) -> None:
        self._threads = threads
        self._turns = turns

    @asynccontextmanager
    async def turn(self, client_ip: str) -> AsyncIterator[None]:
        """The turn of an IP, inside which one password may be checked.

        Raises Unavailable if too many passwords are being checked.
        """
        async with self._turns.slot(client_ip):
            yield

    async def matches(self, password_hash: str | None, password: str) -> bool:
        """Whether the hash is that of the password. Without a hash it is False, after the same time.

        To be called in a turn.
        """
        return await self._run(partial(is_password, password_hash, password))

    async def hashed(self, password: str, client_ip: str = "") -> str:
        """The hash of a new password; all new accounts share one turn.

        Raises Unavailable if too many passwords are being checked.
        """
        async with self.turn(client_ip):
            return await self._run(partial(hash_password, password))

    async def _run(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


@contextmanager
def open_passwords() -> Iterator[Passwords]:
    """Run the threads inside the block."""
    turns = FairSemaphore(
        _THREADS,
        per_client=1,
        wait_seconds=_WAIT_SECONDS,
        refusal=_TOO_MANY,
        waiting_per_client=_WAITING_PER_IP,
    )
    # The turns bound what waits for a thread: there is one for each.
    threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="passwords")
    try:
        yield Passwords(threads, turns)
    finally:
        threads.shutdown(wait=False, cancel_futures=True)

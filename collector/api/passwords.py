"""Checking passwords: slow on purpose, so in threads of its own and only a few at a time."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final

from collector.domain.errors import Unavailable
from collector.domain.password import is_password

_AT_A_TIME: Final = 2
"""Each takes 64 MiB and a tenth of a second of a core."""
_WAIT_SECONDS: Final = 10.0


class Passwords:
    """Checks passwords off the event loop."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self._threads = threads

    async def matches(self, password_hash: str | None, password: str) -> bool:
        """Whether the password has that hash; takes as long where there is none.

        Raises Unavailable when too many are being checked already.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_WAIT_SECONDS):
                return await loop.run_in_executor(self._threads, is_password, password_hash, password)
        except TimeoutError:
            raise Unavailable("Too many people are logging in at once; please repeat it.") from None


@contextmanager
def open_passwords() -> Iterator[Passwords]:
    """Threads for checking, inside the block."""
    threads = ThreadPoolExecutor(_AT_A_TIME, thread_name_prefix="passwords")
    try:
        yield Passwords(threads)
    finally:
        threads.shutdown(wait=False, cancel_futures=True)

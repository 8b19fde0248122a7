"""Checking passwords: slow on purpose, so in threads of its own and only a few at a time."""

import asyncio
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Final, ParamSpec, TypeVar

from collector.domain.access.password import hash_password, is_password
from collector.domain.errors import Unavailable

_AT_A_TIME: Final = max(1, min(4, (os.cpu_count() or 1) // 4))
"""Each takes 64 MiB and a tenth of a second of a core, which it spreads over four threads."""
_AT_MOST: Final = 32
"""As many wait or are being checked; whoever comes then is told so at once."""
_WAIT_SECONDS: Final = 10.0
_TOO_MANY: Final = "Too many people are logging in at once; please repeat it."

Given = ParamSpec("Given")
Result = TypeVar("Result")


class Passwords:
    """Checks and hashes passwords off the event loop."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self._threads = threads
        self._under_way = 0

    async def matches(self, password_hash: str | None, password: str) -> bool:
        """Whether the password has that hash; takes as long where there is none.

        Raises Unavailable when too many are being checked already.
        """
        return await self._in_thread(is_password, password_hash, password)

    async def hashed(self, password: str) -> str:
        """What to keep of a new password. Raises Unavailable likewise."""
        return await self._in_thread(hash_password, password)

    async def _in_thread(
        self, work: Callable[Given, Result], *given: Given.args, **named: Given.kwargs
    ) -> Result:
        if self._under_way >= _AT_MOST:
            raise Unavailable(_TOO_MANY)
        loop = asyncio.get_running_loop()
        self._under_way += 1
        try:
            async with asyncio.timeout(_WAIT_SECONDS):
                return await loop.run_in_executor(self._threads, partial(work, *given, **named))
        except TimeoutError:
            raise Unavailable(_TOO_MANY) from None
        finally:
            self._under_way -= 1


@contextmanager
def open_passwords() -> Iterator[Passwords]:
    """Threads for checking, inside the block."""
    threads = ThreadPoolExecutor(_AT_A_TIME, thread_name_prefix="passwords")
    try:
        yield Passwords(threads)
    finally:
        threads.shutdown(wait=False, cancel_futures=True)

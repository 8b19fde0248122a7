"""Checks passwords, which is slow on purpose: in dedicated threads, and only a few at a time."""

import asyncio
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Final, ParamSpec, TypeVar

from collector.domain.access.password import hash_password, is_password
from collector.domain.errors import Unavailable

_THREADS: Final = max(1, min(4, (os.cpu_count() or 1) // 4))
"""One check takes 64 MiB and 100 ms of CPU time, which it spreads over four threads."""
_MAXIMUM_PENDING: Final = 32
"""Passwords that are being checked or wait for a thread; more are refused immediately."""
_WAIT_SECONDS: Final = 10.0
_TOO_MANY: Final = "Too many passwords are being checked right now; please try again."

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class Passwords:
    """Checks and hashes passwords off the event loop."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self._threads = threads
        self._pending = 0

    async def matches(self, password_hash: str | None, password: str) -> bool:
        """Whether the password has this hash; takes the same time if there is no hash.

        Raises Unavailable if too many are being checked already.
        """
        return await self._in_thread(is_password, password_hash, password)

    async def hashed(self, password: str) -> str:
        """The hash to store of a new password. Raises Unavailable if too many are being checked already."""
        return await self._in_thread(hash_password, password)

    async def _in_thread(
        self,
        work: Callable[Arguments, Result],
        *positional: Arguments.args,
        **named: Arguments.kwargs,
    ) -> Result:
        if self._pending >= _MAXIMUM_PENDING:
            raise Unavailable(_TOO_MANY)
        loop = asyncio.get_running_loop()
        self._pending += 1
        try:
            async with asyncio.timeout(_WAIT_SECONDS):
                return await loop.run_in_executor(self._threads, partial(work, *positional, **named))
        except TimeoutError:
            raise Unavailable(_TOO_MANY) from None
        finally:
            self._pending -= 1


@contextmanager
def open_passwords() -> Iterator[Passwords]:
    """Provide the threads for checking inside the block."""
    threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="passwords")
    try:
        yield Passwords(threads)
    finally:
        threads.shutdown(wait=False, cancel_futures=True)

"""Runs work that would block the event loop in a few threads, with a bound on how much of it may wait."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import TracebackType
from typing import Self, TypeVar

from collector.domain.errors import Unavailable

Result = TypeVar("Result")


class BoundedExecutor:
    """A few threads for work of one kind; a context manager, which ends them.

    `capacity` bounds the work that waits or runs, in the unit of the sizes passed to `run`; `wait_seconds`
    bounds how long it waits for a thread. `refusal` is the text for clients whose work is not accepted.
    """

    def __init__(self, name: str, *, threads: int, capacity: int, wait_seconds: float, refusal: str) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._slots = asyncio.Semaphore(threads)
        self._capacity = capacity
        self._wait_seconds = wait_seconds
        self._refusal = refusal
        self._size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def run(self, work: Callable[[], Result], size: int = 1) -> Result:
        """Run the work in a thread and return its result.

        Raises Unavailable if it would exceed the capacity, or waits for a thread for too long.
        """
        # Counted while it waits, too: the capacity bounds the memory of both.
        with self.reserved(size):
            try:
                async with asyncio.timeout(self._wait_seconds):
                    await self._slots.acquire()
            except TimeoutError:
                raise Unavailable(self._refusal) from None
            try:
                return await asyncio.get_running_loop().run_in_executor(self._threads, work)
            finally:
                self._slots.release()

    @contextmanager
    def reserved(self, size: int) -> Iterator[None]:
        """Count work that waits for something else before it waits for a thread.

        Raises Unavailable if it would exceed the capacity.
        """
        if self._size + size > self._capacity:
            raise Unavailable(self._refusal)
        self._size += size
        try:
            yield
        finally:
            self._size -= size

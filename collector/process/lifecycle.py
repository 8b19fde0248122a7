"""The life of a process: a start that fails with one clear line, a stop signal, an orderly end."""

import asyncio
import gc
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import structlog
import uvloop

EXIT_DIED: Final = 1
EXIT_BAD_START: Final = 2

_CANCEL_AGAIN_SECONDS: Final = 0.5

AnyError = TypeVar("AnyError", bound=Exception)


class StartError(Exception):
    """The process cannot start: exit status 2, and a line for each cause, for the person who started it."""


class ServerError(StartError):
    """The server that a setting names cannot be used.

    The message says why; what to do about it depends on who has started what (`settings.in_words`).
    """

    def __init__(self, why: str, field_name: str) -> None:
        super().__init__(why)
        self.field_name = field_name


class TaskDied(Exception):  # noqa: N818 - a state of the process
    """A background task has ended without which the process must not go on: exit status 1, and one line."""


class Stop:
    """Asks a process to end: set by SIGTERM or SIGINT, awaited by whoever must end."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def request(self) -> None:
        """Ask for the end; asking twice changes nothing."""
        self._event.set()

    @property
    def is_requested(self) -> bool:
        """Whether the end was asked for."""
        return self._event.is_set()

    async def wait(self) -> None:
        """Return when the end is asked for."""
        await self._event.wait()

    async def sleep(self, seconds: float) -> bool:
        """Wait `seconds`, or less when the end is asked for meanwhile; answers whether it was."""
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            return False
        return True


async def vital(name: str, work: Coroutine[Any, Any, None], stop: Stop | None = None) -> None:
    """Run a background task that ends only where `stop` is requested, or cancelled.

    Raises TaskDied when it ends otherwise, so that the task group around it ends the process and a supervisor
    starts it again; a process that lacks the task would neither do its work nor say so.
    """
    try:
        await work
    except Exception as error:
        structlog.get_logger().exception("a background task died", task=name)
        raise TaskDied(f"the background task {name!r} died of {type(error).__name__}: {error}") from error
    else:
        if stop is None or not stop.is_requested:
            raise TaskDied(f"the background task {name!r} ended by itself")
    finally:
        if stop is not None:
            stop.request()  # others may swallow the cancellation that follows; this they see


async def cancelled(*tasks: asyncio.Task[None]) -> None:
    """Cancel tasks until they have ended.

    Once is not enough: before Python 3.12 `asyncio.wait_for`, which drivers use, swallows a cancellation that
    comes in the moment its result does, and the task goes on.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_CANCEL_AGAIN_SECONDS)


def run_process(main: Callable[[Stop], Awaitable[None]], in_words: Callable[[StartError], str] = str) -> int:
    """Run a process on uvloop until it ends or is told to; answers the exit status."""
    status = 0
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_until_stopped(main))
    except* StartError as group:
        # One cause may be wrapped by every task group it passed; it is said once.
        lines = in_words(first_of(group)).splitlines()
        sys.stderr.write("".join(f"headrace: {line}\n" for line in lines))
        status = EXIT_BAD_START
    except* TaskDied as group:
        sys.stderr.write(f"headrace: {first_of(group)}; see the log.\n")
        status = EXIT_DIED
    return status


def first_of(group: BaseExceptionGroup[AnyError]) -> AnyError:
    """The first error in a group, however deep in it."""
    error = group.exceptions[0]
    return first_of(error) if isinstance(error, BaseExceptionGroup) else error


@contextmanager
def ungrouped() -> Iterator[None]:
    """Raise what a task group in the block raises as the error that it is."""
    try:
        yield
    except ExceptionGroup as group:
        raise first_of(group) from group


async def _until_stopped(main: Callable[[Stop], Awaitable[None]]) -> None:
    stop = Stop()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.request)
    gc.freeze()
    await main(stop)

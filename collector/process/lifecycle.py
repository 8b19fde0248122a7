"""Starts and stops a process: a failed start prints one clear line, SIGTERM and SIGINT request the end."""

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
    """The process cannot start: exit status 2, and one line per cause for the person who started it."""


class ServerError(StartError):
    """The server that a setting names cannot be used.

    The message says why; the caller adds what to do about it (`settings.in_words`).
    """

    def __init__(self, why: str, field_name: str) -> None:
        super().__init__(why)
        self.field_name = field_name


class TaskDied(Exception):  # noqa: N818 - a state of the process
    """A background task that the process cannot work without has ended: exit status 1, and one line."""


class Stop:
    """A request to end the process, made by SIGTERM or SIGINT and awaited by its loops."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def request(self) -> None:
        """Request the end; a second request changes nothing."""
        self._event.set()

    @property
    def is_requested(self) -> bool:
        """Whether the end was requested."""
        return self._event.is_set()

    async def wait(self) -> None:
        """Wait until the end is requested."""
        await self._event.wait()

    async def sleep(self, seconds: float) -> bool:
        """Wait `seconds`, or until the end is requested; returns whether it was."""
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            return False
        return True


async def vital(name: str, work: Coroutine[Any, Any, None], stop: Stop | None = None) -> None:
    """Run a background task that may end only by cancellation or after `stop` is requested.

    Raises TaskDied when it ends otherwise: the task group around it then ends the process, which a supervisor
    restarts. Without the task the process would silently do only part of its work.
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
            stop.request()  # other tasks may swallow the cancellation that follows, but not this


async def cancelled(*tasks: asyncio.Task[None]) -> None:
    """Cancel the tasks repeatedly until they have ended.

    Once is not enough: before Python 3.12 `asyncio.wait_for`, which drivers use, swallows a cancellation that
    arrives together with its result.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_CANCEL_AGAIN_SECONDS)


def run_process(main: Callable[[Stop], Awaitable[None]], in_words: Callable[[StartError], str] = str) -> int:
    """Run a process on uvloop until `main` returns, and return the exit status."""
    status = 0
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_until_stopped(main))
    except* StartError as group:
        # Every task group that a cause passed may have wrapped it; it is printed once.
        lines = in_words(first_of(group)).splitlines()
        sys.stderr.write("".join(f"headrace: {line}\n" for line in lines))
        status = EXIT_BAD_START
    except* TaskDied as group:
        sys.stderr.write(f"headrace: {first_of(group)}; see the log.\n")
        status = EXIT_DIED
    return status


def first_of(group: BaseExceptionGroup[AnyError]) -> AnyError:
    """The first error in a group, at any depth."""
    error = group.exceptions[0]
    return first_of(error) if isinstance(error, BaseExceptionGroup) else error


@contextmanager
def ungrouped() -> Iterator[None]:
    """Replace an ExceptionGroup from the block by its first error."""
    try:
        yield
    except ExceptionGroup as group:
        raise first_of(group) from group


async def _until_stopped(main: Callable[[Stop], Awaitable[None]]) -> None:
    stop = Stop()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.request)
    gc.freeze()  # what was imported is never garbage, so later collections can skip it
    await main(stop)

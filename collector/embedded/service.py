"""A service that a child process provides, and how it is started: prepared, run, awaited until ready."""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from collector.embedded.child import Child, Program, ending

START_SECONDS: Final = 300.0
"""A server may have much to recover."""

_POLL_SECONDS: Final = 0.05
_TELL_AFTER_SECONDS: Final = 5.0


class Service(Protocol):
    """Something that a child process provides."""

    @property
    def name(self) -> str:
        """What people and logs call it."""
        ...

    async def prepare(self) -> Program:
        """What to run; makes what is missing first."""
        ...

    async def readiness_problem(self, child: Child) -> str | None:
        """Why it does not serve yet, or None. Answers within a few seconds and raises nothing."""
        ...


class NotStarted(Exception):  # noqa: N818 - a state of the world
    """A child ended before it was ready, or was not ready in time.

    `status` is its exit status, None where it still ran.
    """

    def __init__(self, service: Service, child: Child, reason: str, status: int | None) -> None:
        self.name = service.name
        self.reason = reason
        self.status = status
        self.log = child.log
        self.last_lines = child.last_lines()
        super().__init__(f"{self.name}: {reason}; see {self.log}")


def _ignore(_fact: object) -> None:
    """Nobody wants to know."""


async def start_service(
    service: Service,
    *,
    timeout_seconds: float = START_SECONDS,
    on_start: Callable[[Child], None] = _ignore,
    on_wait: Callable[[str], None] = _ignore,
) -> Child:
    """A child that serves. Raises NotStarted or StartError, and leaves nothing running then.

    `on_start` is told of the child at once, before it is ready; `on_wait` of what it waits for, if for long.
    """
    child = Child.start(await service.prepare())
    try:
        on_start(child)
        await _until_ready(service, child, timeout_seconds, on_wait)
    except BaseException:
        await child.stop()
        raise
    return child


async def _until_ready(
    service: Service, child: Child, timeout_seconds: float, on_wait: Callable[[str], None]
) -> None:
    readiness_problem: str | None = "not asked yet"
    telling = asyncio.get_running_loop().call_later(
        _TELL_AFTER_SECONDS, lambda: on_wait(readiness_problem or "")
    )
    try:
        async with asyncio.timeout(timeout_seconds):
            while readiness_problem := await service.readiness_problem(child):
                if (status := await _end_within(child, _POLL_SECONDS)) is not None:
                    raise NotStarted(service, child, ending(status), status)
    except TimeoutError:
        reason = f"not ready after {timeout_seconds:.0f} s ({readiness_problem})"
        raise NotStarted(service, child, reason, None) from None
    finally:
        telling.cancel()


async def _end_within(child: Child, seconds: float) -> int | None:
    """Its exit status, or None while it runs on."""
    try:
        async with asyncio.timeout(seconds):
            return await child.wait()
    except TimeoutError:
        return None

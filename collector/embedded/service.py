"""What a managed service must provide, and how one is started: prepare it, run it, wait until it is ready."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

from collector.embedded.child import Child, Program, ending

START_SECONDS: Final = 300.0
"""Long, because a server may have much to recover."""

_POLL_SECONDS: Final = 0.05
_REPORT_AFTER_SECONDS: Final = 5.0


class Service(Protocol):
    """A service that runs as a child process."""

    @property
    def name(self) -> str:
        """Its name in messages, logs and the process record."""
        ...

    async def prepare(self) -> Program:
        """Create what the service needs to start, and return the program to run."""
        ...

    async def readiness_problem(self, child: Child) -> str | None:
        """Why it does not serve yet, or None if it does. Returns within a few seconds and raises nothing."""
        ...


class NotStarted(Exception):  # noqa: N818 - a state of the world
    """A child ended before it was ready (`status` is its exit status) or was not ready in time (None)."""

    def __init__(self, service: Service, child: Child, reason: str, status: int | None) -> None:
        self.name = service.name
        self.reason = reason
        self.status = status
        self.log = child.log
        self.last_lines = child.last_lines()
        super().__init__(f"{self.name}: {reason}; see {self.log}")


def _ignore(_argument: object) -> None:
    pass


async def start_service(
    service: Service,
    *,
    timeout_seconds: float = START_SECONDS,
    on_start: Callable[[Child], None] = _ignore,
    on_wait: Callable[[str], None] = _ignore,
) -> Child:
    """Start a child and wait until it is ready. Raises NotStarted or StartError after stopping it again.

    Calls `on_start` as soon as the child runs, and `on_wait` with the problem if it is not ready for seconds.
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
    report = asyncio.get_running_loop().call_later(
        _REPORT_AFTER_SECONDS, lambda: on_wait(readiness_problem or "")
    )
    try:
        async with asyncio.timeout(timeout_seconds):
            while readiness_problem := await service.readiness_problem(child):
                # Waiting for the end of the child is also the pause before the next question.
                with suppress(TimeoutError):
                    async with asyncio.timeout(_POLL_SECONDS):
                        status = await child.wait()
                        raise NotStarted(service, child, ending(status), status)
    except TimeoutError:
        reason = f"not ready after {timeout_seconds:.0f} s ({readiness_problem})"
        raise NotStarted(service, child, reason, None) from None
    finally:
        report.cancel()

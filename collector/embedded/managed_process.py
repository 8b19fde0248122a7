"""Keeps services running: starts each, starts it again when it dies, stops it at the end.

A service that never got ready is a failed start. One that did is started again for ever: at once, and ever
more slowly while it keeps dying young.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from collector.embedded.child import Child, ending
from collector.embedded.service import START_SECONDS, NotStarted, Service, start_service
from collector.process.clock import Clock
from collector.process.lifecycle import EXIT_BAD_START, StartError, cancelled


class ProcessObserver(Protocol):
    """Whoever wants to know what becomes of the children."""

    def started(self, service: Service, child: Child) -> None:
        """A process runs; it is not ready yet."""
        ...

    def waits(self, service: Service, readiness_problem: str) -> None:
        """A process has been waiting for something for a while."""
        ...

    def restarted(self, service: Service, reason: str, seconds: float) -> None:
        """A service that had died for that reason serves again, after so long."""
        ...

    def not_restarted(self, service: Service, problem: str) -> None:
        """A service could not be started again and will be tried once more."""
        ...


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """How often a first start is tried, and how the pauses between starts grow."""

    first_tries: int = 3
    first_pause_seconds: float = 0.1
    longest_pause_seconds: float = 5.0
    young_seconds: float = 10.0
    start_seconds: float = START_SECONDS


class Backoff:
    """How long to wait before each start: twice as long as before it, up to a limit."""

    def __init__(self, restart_policy: RestartPolicy) -> None:
        self._restart_policy = restart_policy
        self._next = restart_policy.first_pause_seconds

    def next(self) -> float:
        """The pause before the next start, in seconds."""
        pause = self._next
        self._next = min(2 * pause, self._restart_policy.longest_pause_seconds)
        return pause

    def forget(self, lived_seconds: float) -> None:
        """Begin anew where the service had lived long enough."""
        if lived_seconds > self._restart_policy.young_seconds:
            self._next = self._restart_policy.first_pause_seconds


class ManagedProcess:
    """Keeps one service running while `run` does."""

    def __init__(
        self,
        service: Service,
        observer: ProcessObserver,
        clock: Clock,
        restart_policy: RestartPolicy | None = None,
    ) -> None:
        self._service = service
        self._observer = observer
        self._clock = clock
        self._restart_policy = restart_policy or RestartPolicy()
        self._backoff = Backoff(self._restart_policy)
        self._first_ready = asyncio.Event()
        self.pid: int | None = None

    async def ready(self) -> None:
        """Return once the service has served for the first time."""
        await self._first_ready.wait()

    async def run(self) -> None:
        """Keep the service running until cancelled, which stops it in good order.

        Raises NotStarted or StartError when it never got ready; afterwards it raises nothing.
        """
        child = await self._first_child()
        self._first_ready.set()
        while True:
            ready_at = self._clock.monotonic()
            status = await self._stay_with(child)
            ended_at = self._clock.monotonic()
            self._backoff.forget(ended_at - ready_at)
            child = await self._next_child()
            self.pid = child.pid
            self._observer.restarted(self._service, ending(status), self._clock.monotonic() - ended_at)

    async def _stay_with(self, child: Child) -> int:
        self.pid = child.pid
        try:
            return await child.wait()
        finally:
            self.pid = None
            await child.stop()

    async def _first_child(self) -> Child:
        tries_left = self._restart_policy.first_tries
        while True:
            try:
                return await self._start()
            except NotStarted as error:
                tries_left -= 1
                if tries_left == 0 or error.status in {None, EXIT_BAD_START}:
                    raise
            await asyncio.sleep(self._backoff.next())

    async def _next_child(self) -> Child:
        while True:
            await asyncio.sleep(self._backoff.next())
            try:
                return await self._start()
            except (NotStarted, StartError) as error:
                self._observer.not_restarted(self._service, str(error))

    async def _start(self) -> Child:
        return await start_service(
            self._service,
            timeout_seconds=self._restart_policy.start_seconds,
            on_start=lambda child: self._observer.started(self._service, child),
            on_wait=lambda readiness_problem: self._observer.waits(self._service, readiness_problem),
        )


@asynccontextmanager
async def kept(processes: Sequence[ManagedProcess]) -> AsyncIterator[None]:
    """Keep services running inside the block; at its end, however it ends, stop them together.

    A failed start cancels the block and is raised from it, in an ExceptionGroup.
    """
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(managed.run()) for managed in processes]
        try:
            yield
        finally:
            await cancelled(*running)


async def all_ready(processes: Sequence[ManagedProcess]) -> None:
    """Return once every service has served."""
    for managed in processes:
        await managed.ready()

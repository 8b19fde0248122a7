"""Keeps services running: starts each, restarts it when it dies, stops it at the end.

A service that never became ready is a failed start. One that did is restarted without limit: immediately at
first, and more and more slowly while it keeps dying young.
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
    """Is notified of the starts and restarts of the managed processes."""

    def started(self, service: Service, child: Child) -> None:
        """A process was started; it is not ready yet."""
        ...

    def waits(self, service: Service, readiness_problem: str) -> None:
        """A process is still not ready after some seconds, because of `readiness_problem`."""
        ...

    def restarted(self, service: Service, reason: str, seconds: float) -> None:
        """A service that had died for `reason` serves again, after `seconds`."""
        ...

    def not_restarted(self, service: Service, problem: str) -> None:
        """A restart failed and will be tried again."""
        ...


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """How many times a first start is tried, and how the pauses between starts grow."""

    first_tries: int = 3
    first_pause_seconds: float = 0.1
    longest_pause_seconds: float = 5.0
    young_seconds: float = 10.0
    start_seconds: float = START_SECONDS


class Backoff:
    """The pause before each restart, which doubles up to a limit."""

    def __init__(self, restart_policy: RestartPolicy) -> None:
        self._restart_policy = restart_policy
        self._next = restart_policy.first_pause_seconds

    def next(self) -> float:
        """Return the next pause in seconds, and double the one after it."""
        pause = self._next
        self._next = min(2 * pause, self._restart_policy.longest_pause_seconds)
        return pause

    def reset_after(self, lived_seconds: float) -> None:
        """Start over with the shortest pause if the service had lived long enough."""
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
        """Wait until the service was ready for the first time."""
        await self._first_ready.wait()

    async def run(self) -> None:
        """Keep the service running until cancelled, which stops it in order.

        Raises NotStarted or StartError when it never became ready; after that it raises nothing.
        """
        child = await self._first_child()
        self._first_ready.set()
        while True:
            ready_at = self._clock.monotonic()
            self.pid = child.pid
            # It ends by itself, or the cancellation of this task stops it.
            try:
                status = await child.wait()
            finally:
                self.pid = None
                await child.stop()
            ended_at = self._clock.monotonic()
            self._backoff.reset_after(ended_at - ready_at)
            child = await self._next_child()
            self.pid = child.pid
            self._observer.restarted(self._service, ending(status), self._clock.monotonic() - ended_at)

    async def _first_child(self) -> Child:
        """A ready child, within a few tries; one that hangs or rejects its settings is not tried again."""
        tries_left = self._restart_policy.first_tries
        while True:
            try:
                return await self._start()
            except NotStarted as error:
                tries_left -= 1
                # No status: it was too slow, and would be so again. A bad start: its settings stay wrong.
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
async def kept_running(processes: Sequence[ManagedProcess]) -> AsyncIterator[None]:
    """Keep the processes running inside the block; stop them together however it ends.

    A failed start cancels the block and is raised in an ExceptionGroup.
    """
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(managed.run()) for managed in processes]
        try:
            yield
        finally:
            await cancelled(*running)


async def all_ready(processes: Sequence[ManagedProcess]) -> None:
    """Wait until every process was ready once."""
    for managed in processes:
        await managed.ready()

"""Whether posts are taken and stored, by the product's own processes, and what a person is told of it."""

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol

from collector.embedded.console import Console
from collector.process.clock import Clock

_POLL_SECONDS: Final = 0.05
_TELL_AFTER_SECONDS: Final = 3.0
"""Every start has a moment in which no worker has swept yet."""
_LOOK_SECONDS: Final = 5.0


class Ready(Protocol):
    """A process that knows whether it is ready."""

    async def problem(self) -> str | None:
        """Why it is not ready, or None. Raises nothing."""
        ...


class Watch:
    """Says why posts are refused, at the start and later, and when that is over: each once."""

    def __init__(
        self, ingest_processes: Sequence[Ready], workers: Sequence[Ready], console: Console, clock: Clock
    ) -> None:
        self._ingest = ingest_processes
        self._workers = workers
        self._console = console
        self._clock = clock
        self._told: str | None = None

    async def until_ready(self) -> None:
        """Return once an event posted would be stored; until then say why not, however long that is."""
        begun = self._clock.monotonic()
        while problem := await _first_problem([*self._ingest, *self._workers]):
            if self._clock.monotonic() - begun >= _TELL_AFTER_SECONDS:
                self._tell(problem)
            await asyncio.sleep(_POLL_SECONDS)
        self._tell(None)

    async def keep_telling(self) -> None:
        """Say when posts begin to be refused, and when they are taken again; until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            self._tell(await _first_problem(self._ingest))

    def _tell(self, problem: str | None) -> None:
        kinds = None if problem is None else _kinds(problem)
        if kinds != self._told:
            refused = "Headrace is not ready, events are not taken or not stored"
            self._console.tell(f"{refused}: {problem}" if problem is not None else "Events are taken again.")
        self._told = kinds


async def _first_problem(processes: Sequence[Ready]) -> str | None:
    for process in processes:
        if problem := await process.problem():
            return problem
    return None


def _kinds(problem: str) -> str:
    """The problem without what stands behind a colon, as figures do that change all the time."""
    return "; ".join(part.partition(": ")[0] for part in problem.split("; "))

"""Watches whether events are accepted and stored, and reports changes on the console."""

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol

from collector.embedded.console import Console
from collector.process.clock import Clock

_POLL_SECONDS: Final = 0.05
_REPORT_AFTER_SECONDS: Final = 3.0
"""Every start has a moment before the first sweep, which needs no report."""
_CHECK_SECONDS: Final = 5.0


class Ready(Protocol):
    """A process that knows whether it is ready."""

    async def problem(self) -> str | None:
        """Why it is not ready, or None. Raises nothing."""
        ...


class Watch:
    """Reports once each time that events begin to be refused, with the reason, and when that is over."""

    def __init__(
        self, ingest_processes: Sequence[Ready], workers: Sequence[Ready], console: Console, clock: Clock
    ) -> None:
        self._ingest = ingest_processes
        self._workers = workers
        self._console = console
        self._clock = clock
        self._reported: str | None = None

    async def until_ready(self) -> None:
        """Wait, without a limit, until a posted event would be stored; report why it would not be."""
        begun = self._clock.monotonic()
        while problem := await _first_problem([*self._ingest, *self._workers]):
            if self._clock.monotonic() - begun >= _REPORT_AFTER_SECONDS:
                self._report(problem)
            await asyncio.sleep(_POLL_SECONDS)
        self._report(None)

    async def keep_reporting(self) -> None:
        """Report when events begin to be refused and when they are accepted again, until cancelled."""
        while True:
            await asyncio.sleep(_CHECK_SECONDS)
            # Not the workers: events are accepted while a worker restarts.
            self._report(await _first_problem(self._ingest))

    def _report(self, problem: str | None) -> None:
        # Details behind a colon, such as figures, change all the time: they make no new report.
        kinds = problem and "; ".join(part.partition(": ")[0] for part in problem.split("; "))
        if kinds != self._reported:
            refused = "Headrace is not ready, events are not accepted or not stored"
            self._console.log(f"{refused}: {problem}" if problem else "Events are accepted again.")
        self._reported = kinds


async def _first_problem(processes: Sequence[Ready]) -> str | None:
    for process in processes:
        if problem := await process.problem():
            return problem
    return None

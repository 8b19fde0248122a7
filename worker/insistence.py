"""Trying again until it succeeds, and saying what keeps failing.

Nothing that fails here is given up: an outage passes, and a bug of ours waits for its mending with every
entry still in the stream.
"""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

import structlog

from collector.process.lifecycle import Stop
from collector.process.metrics import WorkerMetrics
from worker.retry import Cause, cause_of, delay_seconds

Result = TypeVar("Result")

_log = structlog.get_logger()


class Stopped(Exception):  # noqa: N818 - an order, not a fault
    """The worker was told to stop while something failed; what is in hand stays in the stream."""


@dataclass(slots=True)
class Retrier:
    """Repeats what fails. `trouble` says what fails just now, in words for an operator."""

    metrics: WorkerMetrics
    trouble: str | None = field(default=None, init=False)

    async def run(self, action: Callable[[], Awaitable[Result]], stop: Stop) -> Result:
        """Try until it succeeds; raises Stopped when the worker is told to stop meanwhile."""
        failures = 0
        while True:
            try:
                result = await action()
            except Exception as error:
                failures += 1
                self._notice(error)
                jitter = random.random()  # noqa: S311 - spreads workers, guards nothing
                if await stop.sleep(delay_seconds(failures, jitter)):
                    raise Stopped from error
            else:
                self._recover()
                return result

    def _notice(self, error: Exception) -> None:
        cause = cause_of(error)
        self.metrics.store_failures.labels(cause).inc()
        if cause is Cause.UNFORESEEN:
            _log.error("unforeseen failure; it is repeated until it succeeds", exc_info=error)
        elif cause is Cause.MOSTLY_REFUSED:
            _log.error("Postgres refuses most events of a project; its posts are held", error=str(error))
        elif self.trouble is None:
            _log.warning("waiting", cause=cause, error=str(error))
        self.trouble = f"{cause}: {error}"

    def _recover(self) -> None:
        if self.trouble is not None:
            _log.info("going on", after=self.trouble)
            self.trouble = None

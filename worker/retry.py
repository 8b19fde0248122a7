"""Retries what the worker does until it succeeds, waiting longer after each failure up to a bound.

Nothing is given up here. The store sets bad rows aside itself, and the consumer holds the few entries that it
cannot store, so what fails is an outage or a fault that concerns all entries: these stay in the stream.
"""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeVar

import structlog

from collector.broker.errors import BrokerFull, BrokerUnavailable
from collector.database.errors import DatabaseUnavailable, TooManyRejected
from collector.process.lifecycle import Stop
from collector.process.metrics import WorkerMetrics

FIRST_DELAY_SECONDS: Final = 0.1
LONGEST_DELAY_SECONDS: Final = 10.0

Result = TypeVar("Result")

_log = structlog.get_logger()


class Stopped(Exception):  # noqa: N818 - an order, not a fault
    """The worker was asked to stop while an action kept failing; its entries stay in the stream."""


@dataclass(slots=True)
class Retrier:
    """Repeats an action until it succeeds. `last_error` says what is failing now, for operators."""

    metrics: WorkerMetrics
    last_error: str | None = field(default=None, init=False)

    async def run(self, action: Callable[[], Awaitable[Result]], stop: Stop) -> Result:
        """Return the result of the first attempt that succeeds. Raises Stopped when a stop comes first."""
        failures = 0
        while True:
            try:
                result = await action()
            except Exception as error:
                failures += 1
                cause = cause_of(error)
                self.metrics.store_failures.labels(cause).inc()
                # A bug is logged with its traceback each time, an outage once.
                if cause is Cause.UNFORESEEN:
                    _log.error("unexpected failure; retrying until it succeeds", exc_info=error)
                elif cause is Cause.TOO_MANY_REJECTED:
                    _log.error(
                        "Postgres rejects most events of a project; its posts are held", error=str(error)
                    )
                elif self.last_error is None:
                    _log.warning("retrying", cause=cause, error=str(error))
                self.last_error = f"{cause}: {error}"
                jitter = random.random()  # noqa: S311 - spreads workers, guards nothing
                if await stop.sleep(delay_seconds(failures, jitter)):
                    raise Stopped from error
            else:
                if self.last_error is not None:
                    _log.info("recovered", after=self.last_error)
                    self.last_error = None
                return result


class Cause(StrEnum):
    """Why an attempt failed; the value is the label of the metric."""

    DATABASE_UNAVAILABLE = "database_unavailable"
    BROKER_UNAVAILABLE = "broker_unavailable"
    BROKER_FULL = "broker_full"
    TOO_MANY_REJECTED = "too_many_rejected"
    UNFORESEEN = "unforeseen"


def cause_of(error: Exception) -> Cause:
    """Classify an error as one of the known outages, or as unforeseen, which means a bug."""
    match error:
        case DatabaseUnavailable():
            return Cause.DATABASE_UNAVAILABLE
        case TooManyRejected():
            return Cause.TOO_MANY_REJECTED
        case BrokerUnavailable():
            return Cause.BROKER_UNAVAILABLE
        case BrokerFull():
            return Cause.BROKER_FULL
        case _:
            return Cause.UNFORESEEN


def delay_seconds(failures: int, jitter: float) -> float:
    """How long to wait after that many failures in a row (1 or more); `jitter` is from 0 to 1.

    Between half and all of a time that doubles up to a bound, so that workers do not come back together.
    """
    doubled = FIRST_DELAY_SECONDS * 2.0 ** min(failures - 1, 30)
    return min(doubled, LONGEST_DELAY_SECONDS) * (0.5 + jitter / 2)

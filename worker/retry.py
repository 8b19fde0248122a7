"""What the worker does when something fails: it waits and tries again, ever longer up to a bound.

Nothing that fails here is the data's fault (the store sets such rows aside itself), so nothing is given up:
an outage passes, and a bug of ours waits for its mending with every entry still in the stream.
"""

from enum import StrEnum
from typing import Final

from collector.broker.errors import BrokerFull, BrokerUnavailable
from collector.database.errors import DatabaseUnavailable, TooManyRejected

FIRST_DELAY_SECONDS: Final = 0.1
LONGEST_DELAY_SECONDS: Final = 10.0


class Cause(StrEnum):
    """Why something failed, as the metric's label says it."""

    DATABASE_UNAVAILABLE = "database_unavailable"
    BROKER_UNAVAILABLE = "broker_unavailable"
    BROKER_FULL = "broker_full"
    MOSTLY_REFUSED = "mostly_refused"
    UNFORESEEN = "unforeseen"


def cause_of(error: Exception) -> Cause:
    """Which kind of trouble this is: an outage, a fault of ours, or something that nobody foresaw."""
    match error:
        case DatabaseUnavailable():
            return Cause.DATABASE_UNAVAILABLE
        case TooManyRejected():
            return Cause.MOSTLY_REFUSED
        case BrokerUnavailable():
            return Cause.BROKER_UNAVAILABLE
        case BrokerFull():
            return Cause.BROKER_FULL
        case _:
            return Cause.UNFORESEEN


def delay_seconds(failures: int, random: float) -> float:
    """How long to wait after so many failures in a row (1 or more); `random` is from 0 to 1.

    Between half and all of a time that doubles up to a bound, so that workers do not come back together.
    """
    doubled = FIRST_DELAY_SECONDS * 2.0 ** min(failures - 1, 30)
    return min(doubled, LONGEST_DELAY_SECONDS) * (0.5 + random / 2)

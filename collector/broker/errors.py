"""What can go wrong with Redis, in our words: adapters translate the driver's errors into these."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from redis import exceptions

_STATES: Final = (
    "CLUSTERDOWN",
    "LOADING",
    "MASTERDOWN",
    "MISCONF",
    "NOREPLICAS",
    "READONLY",
    "TRYAGAIN",
    "UNBLOCKED",
)
"""How a reply begins that tells of the server's state, not of a mistake of ours."""


class BrokerUnavailable(Exception):  # noqa: N818 - a state of the world
    """Redis is out of reach, loading, read-only or cannot write its disk. A write may have happened."""


class BrokerFull(Exception):  # noqa: N818 - a state of the world
    """Redis is over its `maxmemory` and refuses writes. Nothing was written."""


@contextmanager
def translated() -> Iterator[None]:
    """Turn the driver's errors into ours. Whatever else Redis objects to is a bug and passes as it is."""
    try:
        yield
    except (exceptions.ConnectionError, exceptions.TimeoutError, OSError) as error:
        raise BrokerUnavailable(_reason(error)) from error
    except exceptions.ResponseError as error:
        reason = _reason(error)
        if isinstance(error, exceptions.OutOfMemoryError) or "OOM " in reason:
            raise BrokerFull(reason) from error
        if isinstance(error, exceptions.ReadOnlyError) or reason.startswith(_STATES):
            raise BrokerUnavailable(reason) from error
        raise


def _reason(error: Exception) -> str:
    """What the server said, without the command that the driver quotes in front of it: that holds payload."""
    _, quoted, reason = str(error).partition("of pipeline caused error: ")
    return (reason if quoted else str(error)).strip("(',)\"") or type(error).__name__

"""What can go wrong with Redis, in our words: adapters translate the driver's errors into these."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from redis import exceptions

_STATES: Final = (
    "ASK ",
    "BUSY ",
    "CLUSTERDOWN",
    "EXECABORT",
    "LOADING",
    "MASTERDOWN",
    "MISCONF",
    "MOVED",
    "NOREPLICAS",
    "READONLY",
    "TRYAGAIN",
    "UNBLOCKED",
    "UNKILLABLE",
)
"""How a reply begins that tells of the server's state, not of a mistake of ours (`BUSYGROUP` is another)."""

_STATE_ERRORS: Final = (
    exceptions.AskError,
    exceptions.ClusterDownError,
    exceptions.ExecAbortError,
    exceptions.ReadOnlyError,
    exceptions.TryAgainError,
)
"""The same where the driver has a class for the reply and takes its first word away."""

_OUTAGES: Final = (exceptions.ConnectionError, exceptions.TimeoutError, exceptions.InvalidResponse, OSError)

_FORBIDDEN_IN_SCRIPT: Final = "ACL failure in script"


class BrokerUnavailable(Exception):  # noqa: N818 - a state of the world
    """Redis is out of reach, or says that it cannot do this just now. A write may have happened."""


class BrokerForbidden(BrokerUnavailable):
    """Redis does not let our user do this. Nothing was written; its operator can change that meanwhile."""


class BrokerFull(Exception):  # noqa: N818 - a state of the world
    """Redis is over its `maxmemory` and refuses writes. Nothing was written."""


@contextmanager
def translated() -> Iterator[None]:
    """Turn the driver's errors into ours. Whatever else Redis objects to is a bug and passes as it is."""
    try:
        yield
    except _OUTAGES as error:
        raise BrokerUnavailable(_reason(error)) from error
    except exceptions.ResponseError as error:
        reason = _reason(error)
        if isinstance(error, exceptions.OutOfMemoryError) or "OOM " in reason:
            raise BrokerFull(reason) from error
        if isinstance(error, exceptions.NoPermissionError) or _FORBIDDEN_IN_SCRIPT in reason:
            raise BrokerForbidden(reason) from error
        if isinstance(error, _STATE_ERRORS) or reason.startswith(_STATES):
            raise BrokerUnavailable(reason) from error
        raise


def is_reply(error: BrokerUnavailable) -> bool:
    """Whether the server has answered: it is there, and only cannot do this just now."""
    return isinstance(error.__cause__, (exceptions.ResponseError, exceptions.BusyLoadingError))


def is_final(error: BrokerUnavailable) -> bool:
    """Whether waiting does not help: the user or the password of the URL is wrong."""
    return isinstance(error.__cause__, (exceptions.AuthenticationError, exceptions.AuthorizationError))


def _reason(error: Exception) -> str:
    """What the server said, without the command that the driver quotes in front of it: that holds payload."""
    _, quoted, reason = str(error).partition("of pipeline caused error: ")
    return (reason if quoted else str(error)).strip("(',)\"") or type(error).__name__

"""The errors of Redis: adapters translate the driver's exceptions into these."""

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
"""Prefixes of replies that report the server's state, not a mistake of ours (`BUSYGROUP` is not one)."""

_STATE_ERRORS: Final = (
    exceptions.AskError,
    exceptions.ClusterDownError,
    exceptions.ExecAbortError,
    exceptions.ReadOnlyError,
    exceptions.TryAgainError,
)
"""The same for replies for which the driver has a class of its own and strips the prefix."""

_OUTAGES: Final = (exceptions.ConnectionError, exceptions.TimeoutError, exceptions.InvalidResponse, OSError)

_FORBIDDEN_IN_SCRIPT: Final = "ACL failure in script"


class BrokerUnavailable(Exception):  # noqa: N818 - a state of the world
    """Redis is unreachable or temporarily unable to do this. A write may have happened."""


class BrokerForbidden(BrokerUnavailable):
    """Redis forbids our user to do this. Nothing was written; its operator can fix the ACL while we run."""


class BrokerFull(Exception):  # noqa: N818 - a state of the world
    """Redis is over its `maxmemory` and refuses writes. Nothing was written."""


@contextmanager
def translated() -> Iterator[None]:
    """Translate the driver's errors into ours. Other error replies are bugs and pass unchanged."""
    try:
        yield
    except _OUTAGES as error:
        raise BrokerUnavailable(_reason(error)) from error
    except exceptions.ResponseError as error:
        reason = _reason(error)
        # Errors from inside a script have no type of their own: only their words say what happened.
        if isinstance(error, exceptions.OutOfMemoryError) or "OOM " in reason:
            raise BrokerFull(reason) from error
        if isinstance(error, exceptions.NoPermissionError) or _FORBIDDEN_IN_SCRIPT in reason:
            raise BrokerForbidden(reason) from error
        if isinstance(error, _STATE_ERRORS) or reason.startswith(_STATES):
            raise BrokerUnavailable(reason) from error
        raise


def is_reply(error: BrokerUnavailable) -> bool:
    """Whether the server answered, so is reachable and only temporarily unable to do this."""
    return isinstance(error.__cause__, (exceptions.ResponseError, exceptions.BusyLoadingError))


def is_final(error: BrokerUnavailable) -> bool:
    """Whether waiting is pointless, because the user or the password of the URL is wrong."""
    return isinstance(error.__cause__, (exceptions.AuthenticationError, exceptions.AuthorizationError))


def _reason(error: Exception) -> str:
    """The server's reply, without the command that the driver prepends: it contains payload."""
    _, quoted, reason = str(error).partition("of pipeline caused error: ")
    return (reason if quoted else str(error)).strip("(',)\"") or type(error).__name__

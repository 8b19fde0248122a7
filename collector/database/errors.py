"""What can go wrong with Postgres, in our words: repeat it later, or it is a bug."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import asyncpg

_REPEATED_CLASSES: Final = frozenset({"08", "28", "3D", "40", "53", "55", "57", "58"})
"""Connections, credentials and names that may be mended, rollbacks, resources, locks, operators, disks."""
_READ_ONLY: Final = "25006"
"""A server that has become a standby."""
DATA_FAULTS: Final = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,  # too deep or too long for jsonb
    ValueError,  # what the driver cannot encode, before it reaches the server
    OverflowError,
)
"""What a row can be refused for by its own values: the row's fault, not an outage."""


class DatabaseUnavailable(Exception):  # noqa: N818 - a state of the world
    """Postgres cannot be reached or cannot do it right now. The write may have happened."""


class QueryTooSlow(DatabaseUnavailable):
    """The statement timeout was over: at another time, or about less, it may be answered."""


class SessionNotKept(DatabaseUnavailable):
    """A pooler in transaction mode stands between: at the start a reason to end, later one to wait."""

    def __init__(self) -> None:
        super().__init__(
            "a pooler in transaction or statement mode stands between, and sessions are needed;"
            " set pool_mode = session there, or connect to Postgres itself"
        )


class TooManyRejected(Exception):  # noqa: N818 - a state of the world
    """Postgres refuses most of a project's rows: its data as a whole, our code or the schema is wrong.

    Nothing of the transaction is stored; repeating it without the project's events is safe.
    """


@contextmanager
def translated() -> Iterator[None]:
    """Turn the driver's errors into ours where repeating can help; anything else passes as it is.

    A connection that was cut at an unlucky moment can make the driver complain of nearly anything, also of
    our use of it: its InterfaceError and InternalClientError count as an outage.
    """
    try:
        yield
    except asyncpg.QueryCanceledError as error:
        raise QueryTooSlow(_described(error)) from error
    except asyncpg.PostgresError as error:
        if is_repeatable(error):
            raise DatabaseUnavailable(_described(error)) from error
        raise
    except asyncpg.InterfaceError as error:
        if isinstance(error, ValueError):  # a value that the driver cannot encode
            raise
        raise DatabaseUnavailable(_described(error)) from error
    except (OSError, TimeoutError, asyncpg.InternalClientError) as error:
        raise DatabaseUnavailable(_described(error)) from error


def is_repeatable(error: asyncpg.PostgresError) -> bool:
    """Whether the same statement may succeed later."""
    code = error.sqlstate or ""
    return code[:2] in _REPEATED_CLASSES or code == _READ_ONLY


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")

"""Errors of Postgres, sorted into those that a retry can fix and bugs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import asyncpg

_RETRYABLE_CLASSES: Final = frozenset({"08", "28", "3D", "40", "53", "55", "57", "58"})
"""SQLSTATE classes: connections, logins, missing databases, rollbacks, resources, locks, operators, disks."""
_READ_ONLY: Final = "25006"
"""The SQLSTATE of a server that has become a standby."""
DATA_FAULTS: Final = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,  # too deep or too long for jsonb
    ValueError,  # what the driver cannot encode, before it reaches the server
    OverflowError,
)
"""Errors that a row's own values cause: Postgres rejects the row, and a retry cannot help."""


class DatabaseUnavailable(Exception):  # noqa: N818 - a state of the world
    """Postgres cannot be reached or cannot do it now. The write may have happened nevertheless."""


class QueryTooSlow(DatabaseUnavailable):
    """The statement timeout expired, or `temp_file_limit` was reached: a query of less data may succeed."""


class SessionNotKept(DatabaseUnavailable):
    """A pooler in transaction mode is in between. At the start the process exits; later it retries."""

    def __init__(self) -> None:
        super().__init__(
            "there is a pooler in transaction or statement mode in between, but sessions are needed;"
            " set pool_mode = session there, or connect to Postgres itself"
        )


class TooManyRejected(Exception):  # noqa: N818 - a state of the world
    """Postgres rejects most of a project's rows: its data as a whole, our code or the schema is wrong.

    Nothing of the transaction is stored; repeating it without the project's events is safe.
    """


@contextmanager
def translated() -> Iterator[None]:
    """Turn the driver's errors into ours if a retry can help; others pass unchanged.

    When a connection is cut at an unlucky moment the driver may report almost anything, even wrong use of its
    API: its InterfaceError and InternalClientError count as an outage.
    """
    try:
        yield
    except (asyncpg.QueryCanceledError, asyncpg.ConfigurationLimitExceededError) as error:
        raise QueryTooSlow(_described(error)) from error
    except asyncpg.PostgresError as error:
        if is_retryable(error):
            raise DatabaseUnavailable(_described(error)) from error
        raise
    except asyncpg.InterfaceError as error:
        if isinstance(error, ValueError):  # a value that the driver cannot encode
            raise
        raise DatabaseUnavailable(_described(error)) from error
    except (OSError, TimeoutError, asyncpg.InternalClientError) as error:
        raise DatabaseUnavailable(_described(error)) from error


def is_retryable(error: asyncpg.PostgresError) -> bool:
    """Whether the same statement may succeed later."""
    code = error.sqlstate or ""
    return code[:2] in _RETRYABLE_CLASSES or code == _READ_ONLY


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")

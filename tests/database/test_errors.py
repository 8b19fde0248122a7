"""Which errors of Postgres can be retried, and which are bugs."""

import asyncpg
import pytest

from collector.database.errors import DatabaseUnavailable, translated


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(asyncpg.ConnectionDoesNotExistError("gone"), id="connection lost"),
        pytest.param(asyncpg.DeadlockDetectedError("deadlock"), id="deadlock"),
        pytest.param(asyncpg.SerializationError("again"), id="serialization"),
        pytest.param(asyncpg.DiskFullError("full"), id="disk full"),
        pytest.param(asyncpg.LockNotAvailableError("locked"), id="lock timeout"),
        pytest.param(asyncpg.AdminShutdownError("bye"), id="shut down"),
        pytest.param(asyncpg.CannotConnectNowError("starting"), id="starting up"),
        pytest.param(asyncpg.QueryCanceledError("too long"), id="statement timeout"),
        pytest.param(asyncpg.ReadOnlySQLTransactionError("standby"), id="read-only standby"),
        pytest.param(asyncpg.InvalidPasswordError("changed"), id="password changed"),
        pytest.param(asyncpg.InterfaceError("connection is closed"), id="driver: connection is closed"),
        pytest.param(asyncpg.InterfaceError("another operation is in progress"), id="driver: cut while busy"),
        pytest.param(asyncpg.InternalClientError("cannot switch to state 15"), id="driver: internal error"),
        pytest.param(ConnectionRefusedError("refused"), id="refused"),
        pytest.param(TimeoutError(), id="no connection in time"),
    ],
)
def test_an_error_that_a_retry_can_fix_is_an_outage(error: Exception) -> None:
    """The caller retries later; nothing may become a dead letter."""
    with pytest.raises(DatabaseUnavailable) as raised, translated():
        raise error

    assert raised.value.__cause__ is error
    assert type(error).__name__ in str(raised.value)


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(asyncpg.UndefinedTableError("no table"), id="no such table"),
        pytest.param(asyncpg.DataError("bad value"), id="a bad value"),
        pytest.param(asyncpg.UniqueViolationError("there already"), id="a broken constraint"),
        pytest.param(ValueError("bug"), id="any other"),
    ],
)
def test_an_error_that_no_retry_can_fix_passes_unchanged(error: Exception) -> None:
    """A bug must not look like an outage."""
    with pytest.raises(type(error)) as raised, translated():
        raise error

    assert raised.value is error

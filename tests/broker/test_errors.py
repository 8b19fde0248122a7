"""Which replies of Redis mean "later", which mean "full", and which are bugs."""

import pytest
from redis import exceptions

from collector.broker.errors import BrokerForbidden, BrokerFull, BrokerUnavailable, translated


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (exceptions.ConnectionError("reset"), BrokerUnavailable),
        (exceptions.TimeoutError("slow"), BrokerUnavailable),
        (exceptions.BusyLoadingError("loading the dataset"), BrokerUnavailable),
        (exceptions.ReadOnlyError("You can't write against a read only replica."), BrokerUnavailable),
        (exceptions.ResponseError("MISCONF Errors writing to the AOF file"), BrokerUnavailable),
        (exceptions.ResponseError("MASTERDOWN Link with MASTER is down"), BrokerUnavailable),
        (exceptions.ResponseError("NOREPLICAS Not enough good replicas to write."), BrokerUnavailable),
        (exceptions.ResponseError("BUSY Valkey is busy running a script."), BrokerUnavailable),
        (exceptions.ResponseError("BUSYGROUP Consumer Group name already exists"), exceptions.ResponseError),
        (exceptions.ResponseError("UNKILLABLE Sorry the script already executed writes"), BrokerUnavailable),
        (exceptions.ClusterDownError("Hash slot not served"), BrokerUnavailable),
        (exceptions.MasterDownError("Link with MASTER is down"), BrokerUnavailable),
        (exceptions.TryAgainError("Multiple keys request during rehashing of slot"), BrokerUnavailable),
        (exceptions.MovedError("3999 127.0.0.1:6381"), BrokerUnavailable),
        (exceptions.AskError("3999 127.0.0.1:6381"), BrokerUnavailable),
        (exceptions.ExecAbortError("Transaction discarded because of previous errors."), BrokerUnavailable),
        (exceptions.InvalidResponse("Protocol Error: b'x'"), BrokerUnavailable),
        (exceptions.NoPermissionError("User u has no permissions to run the 'x' command"), BrokerForbidden),
        (exceptions.ResponseError("ACL failure in script: User u has no permissions"), BrokerForbidden),
        (exceptions.AuthenticationError("invalid username-password pair"), BrokerUnavailable),
        (OSError("no route"), BrokerUnavailable),
        (exceptions.OutOfMemoryError("command not allowed"), BrokerFull),
        (exceptions.ResponseError("OOM command not allowed when used memory > 'maxmemory'."), BrokerFull),
        (exceptions.ResponseError("WRONGTYPE Operation against a key"), exceptions.ResponseError),
    ],
    ids=str,
)
def test_replies_are_translated_into_our_errors(error: Exception, expected: type[Exception]) -> None:
    """A state of the server is retried later; a bug of ours shows."""
    with pytest.raises(expected) as caught, translated():
        raise error

    assert type(caught.value) is expected


def test_the_command_that_the_driver_quotes_is_removed() -> None:
    """It contains part of an event, which must not be logged."""
    error = exceptions.OutOfMemoryError(
        "Command # 1 (XADD posts:{0} * b secret...) of pipeline caused error: ('command not allowed',)"
    )

    with pytest.raises(BrokerFull) as caught, translated():
        raise error

    assert str(caught.value) == "command not allowed"

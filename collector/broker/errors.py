"""What can go wrong with Redis, in our words: adapters translate the driver's errors into these."""

from collections.abc import Iterator
from contextlib import contextmanager

from redis import exceptions


class BrokerUnavailable(Exception):  # noqa: N818 - a state of the world
    """Redis cannot be reached, is loading, is read-only, or cannot write its disk. The write may have happened."""


class BrokerFull(Exception):  # noqa: N818 - a state of the world
    """Redis is over its `maxmemory` and refuses writes. Nothing was written."""


@contextmanager
def translated() -> Iterator[None]:
    """Turn the driver's errors into ours. Anything else that Redis objects to is a bug and passes as it is."""
    try:
        yield
    except exceptions.OutOfMemoryError as error:
        raise BrokerFull(str(error)) from error
    except exceptions.ExecAbortError as error:
        raise _aborted(error) from error
    except (exceptions.ConnectionError, exceptions.TimeoutError, exceptions.ReadOnlyError, OSError) as error:
        raise BrokerUnavailable(str(error)) from error
    except exceptions.ResponseError as error:
        if str(error).startswith(
            ("MISCONF", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "NOREPLICAS", "READONLY")
        ):
            raise BrokerUnavailable(str(error)) from error
        raise


def _aborted(error: exceptions.ExecAbortError) -> Exception:
    """A transaction that was refused while it was being queued: because of memory, or because of a state."""
    cause = error.__cause__ or error.__context__
    if isinstance(cause, exceptions.OutOfMemoryError) or "OOM" in str(cause):
        return BrokerFull(str(cause))
    return BrokerUnavailable(str(cause or error))

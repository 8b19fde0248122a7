"""An api with people and programs who use it, on servers of the test's own."""

import socket
from collections.abc import AsyncIterator

import pytest

from collector.process.clock import Clock, SystemClock
from tests.api.running_api import RunningApi, running_api


@pytest.fixture
def clock() -> Clock:
    """The api's. Modules about events set the day on which those of `tests.database.rows` happen.

    For all others it is the real time: Postgres decides by its own which log-ins have ended.
    """
    return SystemClock()


@pytest.fixture
async def api(database_url: str, redis_url: str, key_prefix: str, clock: Clock) -> AsyncIterator[RunningApi]:
    """An api that runs."""
    async with running_api(database_url, redis_url, key_prefix, clock=clock) as running:
        yield running


@pytest.fixture
async def api_without_redis(database_url: str, redis_url: str, key_prefix: str) -> AsyncIterator[RunningApi]:
    """An api whose Redis went away after the start."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    gone = f"redis://127.0.0.1:{port}/0"
    async with running_api(database_url, redis_url, key_prefix, projection_url=gone) as running:
        yield running

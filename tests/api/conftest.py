"""An api, and the people and programs who use it, on servers of this test only."""

from collections.abc import AsyncIterator

import pytest

from collector.embedded.servers.ports import free_port
from collector.process.clock import Clock, SystemClock
from tests.api.running_api import RunningApi, running_api


@pytest.fixture
def clock() -> Clock:
    """The api's clock. Modules about events set it to the day of the events in `tests.database.rows`.

    Elsewhere it is the real time: Postgres decides by its own clock which logins have expired.
    """
    return SystemClock()


@pytest.fixture
async def api(database_url: str, redis_url: str, key_prefix: str, clock: Clock) -> AsyncIterator[RunningApi]:
    async with running_api(database_url, redis_url, key_prefix, clock=clock, sign_up_enabled=True) as running:
        yield running


@pytest.fixture
async def api_without_redis(database_url: str, redis_url: str, key_prefix: str) -> AsyncIterator[RunningApi]:
    """An api whose Redis disappeared after the start."""
    gone = f"redis://127.0.0.1:{free_port()}/0"
    async with running_api(
        database_url, redis_url, key_prefix, projection_url=gone, sign_up_enabled=True
    ) as running:
        yield running

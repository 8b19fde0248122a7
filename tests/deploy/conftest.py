"""One deployment for all tests of this folder that need one."""

from collections.abc import AsyncIterator

import pytest

from tests.conftest import Servers
from tests.deploy.composed import Composed, composed
from tests.support.databases import separate_database


@pytest.fixture(scope="session")
async def deployment(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Composed]:
    """The services of compose.yaml as processes, except for the proxy."""
    async with (
        separate_database(servers.database_url) as url,
        composed(tmp_path_factory.mktemp("compose"), url) as running,
    ):
        yield running

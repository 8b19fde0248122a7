"""A door that everybody may use."""

from collections.abc import AsyncIterator

import pytest

from tests.ingest.projections import a_projection
from tests.ingest.running_ingest import RunningDoor, running_door


@pytest.fixture
async def any_door(redis_url: str, key_prefix: str) -> AsyncIterator[RunningDoor]:
    """A door with a small body limit, and the projection that most tests need."""
    async with running_door(redis_url, key_prefix, a_projection(), body_limit_bytes=1000) as running:
        yield running

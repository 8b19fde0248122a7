"""An ingest process for any test."""

from collections.abc import AsyncIterator

import pytest

from tests.ingest.projections import a_projection
from tests.ingest.running_ingest import RunningIngest, running_ingest


@pytest.fixture
async def any_ingest(redis_url: str, key_prefix: str) -> AsyncIterator[RunningIngest]:
    """An ingest process with a small body limit, and the projection that most tests need."""
    async with running_ingest(redis_url, key_prefix, a_projection(), body_limit_bytes=1000) as running:
        yield running

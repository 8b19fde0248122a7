"""A pool on the test's own migrated database."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from collector.database.pool import close_pool, create_pool


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[asyncpg.Pool]:
    """Connections set up as in production."""
    pool = await create_pool(database_url, max_size=8)
    yield pool
    await close_pool(pool)

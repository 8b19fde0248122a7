"""A pool on a migrated database of the test's own."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from collector.database.pool import close_pool, create_pool


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[asyncpg.Pool]:
    """Connections as the product makes them."""
    pool = await create_pool(database_url, max_size=8)
    yield pool
    await close_pool(pool)

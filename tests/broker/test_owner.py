"""Each queue belongs to one database; a different one is reported."""

import asyncpg
import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from collector.broker.connection import connect
from collector.broker.keys import RedisKeys
from collector.broker.owner import compare_database
from collector.database.agreed_settings import database_id
from tests.database.conftest import pool

__all__ = ["pool"]

pytestmark = pytest.mark.integration


async def test_a_database_keeps_its_id(pool: asyncpg.Pool) -> None:
    """Whichever process asks first."""
    first, second = await database_id(pool), await database_id(pool)

    assert first == second
    assert len(first) == 36


async def test_a_different_database_is_logged_with_both(redis: Redis, keys: RedisKeys) -> None:
    """In one line of each affected process, without passwords."""
    with capture_logs() as lines:
        for name in ("one", "one", "two"):
            await compare_database(redis, keys, name, f"postgresql://headrace:secret@h/{name}")

    (line,) = lines
    assert line["log_level"] == "error"
    assert line["event"].startswith(
        "this queue belonged to the database one until now, and postgresql://headrace:***@h/two is two;"
    )


async def test_an_unreachable_queue_is_not_compared() -> None:
    """The next start compares."""
    gone = connect("redis://127.0.0.1:1/0", socket_timeout_seconds=1)
    with capture_logs() as lines:
        await compare_database(gone, RedisKeys(), "one", "postgresql://h/one")
    await gone.aclose()

    assert lines == []

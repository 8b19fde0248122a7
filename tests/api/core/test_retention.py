"""How long events are kept, as the api says: by what the workers go by."""

import asyncpg
import pytest
from structlog.testing import capture_logs

from collector.api.core import retention
from collector.api.core.retention import DEFAULT_DAYS, Retention
from collector.database.agreed_settings import agree_on
from tests.database.conftest import pool
from tests.support.waiting import until

__all__ = ["pool"]

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(("setting", "days"), [(None, DEFAULT_DAYS), (45, 45)])
async def test_before_the_first_worker_the_setting_counts(
    pool: asyncpg.Pool, setting: int | None, days: int
) -> None:
    """And nothing is stored by the api."""
    known = Retention(pool, setting)
    async with known.followed():
        assert known.days == days
    assert await pool.fetchval("SELECT count(*) FROM settings") == 0


async def test_the_workers_value_counts_and_is_followed(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another setting of the api is told in one line with both values; none is no other one."""
    monkeypatch.setattr(retention, "FOLLOW_SECONDS", 0.01)
    await agree_on(pool, {"retention_days": "90"}, {})
    with capture_logs() as lines:
        known, silent = Retention(pool, 45), Retention(pool, None)
        async with known.followed(), silent.followed():
            assert known.days == silent.days == 90
            await agree_on(pool, {"retention_days": "14"}, {})
            await until(lambda: known.days == 14)

    (line,) = lines
    assert line["event"] == "HEADRACE_RETENTION_DAYS is 45 here, but the workers keep events for 90 days"

"""The retention that the api reports: the one that the workers apply."""

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
async def test_before_the_first_worker_the_api_reports_its_own_setting(
    pool: asyncpg.Pool, setting: int | None, days: int
) -> None:
    """It stores nothing."""
    known = Retention(pool, setting)
    async with known.followed():
        assert known.days == days
    assert await pool.fetchval("SELECT count(*) FROM settings") == 0


async def test_the_api_follows_the_workers_value(pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A different setting of the api is logged in one line with both values; no setting is not different."""
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

"""Shared settings on a real Postgres: the last start with an explicit value decides, the others follow."""

import asyncpg
import pytest
from structlog.testing import capture_logs

from collector.database.agreed_settings import agreed_settings
from collector.process.settings import read_settings
from worker.agreement import AGREED, Agreement
from worker.settings import WorkerSettings

pytestmark = pytest.mark.integration

URLS = {"REDIS_URL": "redis://h", "DATABASE_URL": "postgresql://h"}


async def _started(pool: asyncpg.Pool, **environ: str) -> Agreement:
    """A worker that has just started."""
    agreement = Agreement(read_settings(WorkerSettings, URLS | environ), pool)
    await agreement.join(environ)
    return agreement


async def test_the_first_worker_stores_its_settings(pool: asyncpg.Pool) -> None:
    """Also its defaults: the api shows them, and a later version may have others."""
    await _started(pool, HEADRACE_RETENTION_DAYS="90")

    assert await agreed_settings(pool) == {
        "max_event_age_days": "3",
        "reference_window_minutes": "60",
        "retention_days": "90",
        "sessions": "on",
    }


async def test_a_worker_without_the_variable_uses_the_stored_value(pool: asyncpg.Pool) -> None:
    """Its default must not shorten the others' retention, and it logs nothing."""
    await _started(pool, HEADRACE_RETENTION_DAYS="90", HEADRACE_SESSIONS="off")
    with capture_logs() as lines:
        second = await _started(pool)

    assert (second.settings.retention_days, second.settings.sessions) == (90, "off")
    assert (await agreed_settings(pool))["retention_days"] == "90"
    assert not [line for line in lines if line["log_level"] == "warning"]


async def test_a_different_value_is_logged_with_both_and_applies_to_all(pool: asyncpg.Pool) -> None:
    """In a rolling restart, running workers follow."""
    first = await _started(pool, HEADRACE_RETENTION_DAYS="90", HEADRACE_MAX_EVENT_AGE_DAYS="7")
    with capture_logs() as lines:
        second = await _started(pool, HEADRACE_RETENTION_DAYS="14", HEADRACE_MAX_EVENT_AGE_DAYS="7")

    assert await first.follow()
    assert not await first.follow()
    assert first.settings.retention_days == second.settings.retention_days == 14
    assert [line["event"] for line in lines if line["log_level"] == "warning"] == [
        "HEADRACE_RETENTION_DAYS is 14 here and was 90 before; 14 counts for all workers from now on"
    ]


@pytest.mark.parametrize("name", AGREED)
async def test_every_agreed_setting_is_followed(pool: asyncpg.Pool, name: str) -> None:
    """With the type that it has in the settings."""
    first = await _started(pool)
    before = getattr(first.settings, name)
    value = "off" if name == "sessions" else "5"
    await _started(pool, **{f"HEADRACE_{name.upper()}": value})

    await first.follow()

    after = getattr(first.settings, name)
    assert (str(after), type(after)) == (value, type(before))

"""A periodic job runs once in an installation."""

import asyncio

import asyncpg
import pytest

from collector.database.errors import DatabaseUnavailable
from collector.database.job_runs import run_once
from tests.support.waiting import until

pytestmark = pytest.mark.integration


class Runs:
    """A job that counts its runs; each lasts until it may end."""

    def __init__(self) -> None:
        self.count = 0
        self.may_end = asyncio.Event()

    async def __call__(self) -> None:
        self.count += 1
        await self.may_end.wait()


async def _pass_time(pool: asyncpg.Pool, seconds: int) -> None:
    await pool.execute("UPDATE maintenance_runs SET ran_utc = ran_utc - make_interval(secs => $1)", seconds)


async def test_only_one_worker_runs_a_job(pool: asyncpg.Pool) -> None:
    """The others do not wait for it."""
    runs = Runs()
    running = asyncio.ensure_future(run_once(pool, "job", 0, runs))
    await until(lambda: runs.count == 1)

    assert await run_once(pool, "job", 0, runs) is False
    runs.may_end.set()
    assert await running is True
    assert runs.count == 1


async def test_a_job_runs_again_when_it_is_due(pool: asyncpg.Pool) -> None:
    """In the first worker that comes; another job has its own time."""
    runs = Runs()
    runs.may_end.set()

    assert [await run_once(pool, "job", 60, runs) for _ in range(2)] == [True, False]
    assert await run_once(pool, "other", 60, runs) is True
    await _pass_time(pool, 61)
    assert [await run_once(pool, "job", 60, runs) for _ in range(2)] == [True, False]


async def test_a_run_that_failed_does_not_count(pool: asyncpg.Pool) -> None:
    """The next worker runs it, also if the previous run was cancelled."""

    async def fail() -> None:
        raise DatabaseUnavailable("gone")

    runs = Runs()
    with pytest.raises(DatabaseUnavailable):
        await run_once(pool, "job", 60, fail)
    cancelled = asyncio.ensure_future(run_once(pool, "job", 60, runs))
    await until(lambda: runs.count == 1)
    cancelled.cancel()
    await asyncio.wait([cancelled])
    runs.may_end.set()

    assert await run_once(pool, "job", 60, runs) is True


async def test_a_clock_that_was_set_back_does_not_delay_a_job(pool: asyncpg.Pool) -> None:
    """A run that is recorded in the future does not count."""
    runs = Runs()
    runs.may_end.set()
    await run_once(pool, "job", 60, runs)
    await _pass_time(pool, -3600)

    assert await run_once(pool, "job", 60, runs) is True

"""Periodic jobs run once in an installation."""

import asyncio

import asyncpg
import pytest

from collector.database.errors import DatabaseUnavailable
from collector.database.job_runs import run_once
from tests.waiting import until

pytestmark = pytest.mark.integration


class Runs:
    """Counts them; each lasts until it may end."""

    def __init__(self) -> None:
        self.begun = 0
        self.may_end = asyncio.Event()

    async def __call__(self) -> None:
        self.begun += 1
        await self.may_end.wait()


async def _pass_time(pool: asyncpg.Pool, seconds: int) -> None:
    await pool.execute("UPDATE maintenance_runs SET ran_utc = ran_utc - make_interval(secs => $1)", seconds)


async def test_of_many_workers_one_runs_a_job(pool: asyncpg.Pool) -> None:
    """The others go on at once: they do not wait for it."""
    runs = Runs()
    running = asyncio.ensure_future(run_once(pool, "job", 0, runs))
    await until(lambda: runs.begun == 1)

    assert await run_once(pool, "job", 0, runs) is False
    runs.may_end.set()
    assert await running is True
    assert runs.begun == 1


async def test_a_job_is_run_again_when_it_is_time(pool: asyncpg.Pool) -> None:
    """By whichever worker comes first then; another job has its own time."""
    runs = Runs()
    runs.may_end.set()

    assert [await run_once(pool, "job", 60, runs) for _ in range(2)] == [True, False]
    assert await run_once(pool, "other", 60, runs) is True
    await _pass_time(pool, 61)
    assert [await run_once(pool, "job", 60, runs) for _ in range(2)] == [True, False]


async def test_a_run_that_failed_does_not_count(pool: asyncpg.Pool) -> None:
    """The next worker runs it; so it does when the one that ran it was cut off."""

    async def fail() -> None:
        raise DatabaseUnavailable("gone")

    runs = Runs()
    with pytest.raises(DatabaseUnavailable):
        await run_once(pool, "job", 60, fail)
    cut_off = asyncio.ensure_future(run_once(pool, "job", 60, runs))
    await until(lambda: runs.begun == 1)
    cut_off.cancel()
    await asyncio.wait([cut_off])
    runs.may_end.set()

    assert await run_once(pool, "job", 60, runs) is True


async def test_a_clock_that_was_set_back_holds_up_no_job(pool: asyncpg.Pool) -> None:
    """What is said to have been run in the future does not count."""
    runs = Runs()
    runs.may_end.set()
    await run_once(pool, "job", 60, runs)
    await _pass_time(pool, -3600)

    assert await run_once(pool, "job", 60, runs) is True

"""Periodic jobs of an installation: each runs once in its period, in any one of the workers.

A run holds an advisory lock in its transaction, which other workers only try to take. The time of the last
run is recorded by the server's clock. When a worker dies its lock is released; a failed run does not count.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final
from zlib import crc32

import asyncpg

from collector.database.pool import connected

_LOCK_CLASS: Final = 0x6A6F6273
"""The class of our advisory locks for jobs."""
_EARLY: Final = 0.9
"""Part of the period after which a job is due: the timers of workers are not in step."""

_IS_DUE: Final = """
    SELECT set_config('synchronous_commit', 'off', true), pg_try_advisory_xact_lock($1, $2)
        AND NOT EXISTS (SELECT FROM maintenance_runs WHERE job = $3 AND ran_utc > now() - $4::interval
                        AND ran_utc <= now())
"""
_RAN: Final = """
    INSERT INTO maintenance_runs (job, ran_utc) VALUES ($1, $2)
    ON CONFLICT (job) DO UPDATE SET ran_utc = excluded.ran_utc
"""


async def run_once(
    pool: asyncpg.Pool, job: str, every_seconds: float, run: Callable[[], Awaitable[object]]
) -> bool:
    """Run the job unless another worker runs it now or ran it within its period; returns whether it ran."""
    name = f"once:{job}"
    pause = timedelta(seconds=every_seconds * _EARLY)
    async with connected(pool) as connection, connection.transaction():
        # The server's lock keys are signed.
        lock = crc32(name.encode()) - (1 << 31)
        _, is_due = await connection.fetchrow(_IS_DUE, _LOCK_CLASS, lock, name, pause)
        if not is_due:
            return False
        started = await connection.fetchval("SELECT now()")
        await run()
        await connection.execute(_RAN, name, started)
    return True

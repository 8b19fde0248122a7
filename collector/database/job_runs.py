"""Periodic jobs of an installation: each runs once in its time, whichever of the workers it is that runs it.

A run holds an advisory lock of its transaction, which others only try to take; when a job ran last is kept by
the server's clock. A worker that dies gives the lock back, and a run that failed does not count.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final
from zlib import crc32

import asyncpg

from collector.database.pool import connected

_LOCK_CLASS: Final = 0x6A6F6273
"""Ours among the advisory locks of the database."""
_EARLY: Final = 0.9
"""Clocks of workers are not in step: a run a little before its time is in time."""

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
    """Run the job unless another worker is at it, or ran it within its time; answers whether it was run."""
    name = f"once:{job}"
    pause = timedelta(seconds=every_seconds * _EARLY)
    async with connected(pool) as connection, connection.transaction():
        # The lock's number has a sign, as the server has it.
        lock = crc32(name.encode()) - (1 << 31)
        _, is_due = await connection.fetchrow(_IS_DUE, _LOCK_CLASS, lock, name, pause)
        if not is_due:
            return False
        began = await connection.fetchval("SELECT now()")
        await run()
        await connection.execute(_RAN, name, began)
    return True

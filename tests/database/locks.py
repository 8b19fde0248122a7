"""What waits for locks."""

import asyncpg


async def waiting(pool: asyncpg.Pool) -> int:
    """How many connections to the test's database wait for a lock."""
    found: int = await pool.fetchval(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    return found

"""Forgets stacks whose events are gone: without that, one client could add stacks without limit.

A stack that people have decided about (its status, a link, a mark) is kept. If an event of a forgotten stack
arrives, the stack is made again, and the event is its first occurrence.
"""

from datetime import timedelta
from typing import Final
from uuid import UUID

import asyncpg

from collector.database.pool import connected
from collector.database.schema.partitions import oldest_kept

_SPARE: Final = timedelta(days=2)
"""An event may be stored long after it was accepted."""
_ROWS_AT_ONCE: Final = 5000
_MOST_STEPS: Final = 100
"""Bounds one run; the next run continues."""

_FORGET: Final = """
    DELETE FROM stacks WHERE id = ANY(ARRAY(
        SELECT id FROM stacks
        WHERE id > $1 AND updated_utc < $2 AND status = 'open' AND NOT occurrences_are_critical
            AND "references" = '{}'
        ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED
    )) RETURNING id
"""


async def forget_stacks(pool: asyncpg.Pool, retention_days: int) -> int:
    """Delete stacks that have no events left and that people have not touched; returns how many."""
    forgotten, last = 0, UUID(int=0)
    async with connected(pool) as connection:
        old = await oldest_kept(connection, retention_days) - _SPARE
    for _ in range(_MOST_STEPS):
        async with connected(pool) as connection:
            rows = await connection.fetch(_FORGET, last, old, _ROWS_AT_ONCE)
        forgotten += len(rows)
        if len(rows) < _ROWS_AT_ONCE:
            break
        # From there, because all stacks before it stay: otherwise each step would read these again.
        last = max(row["id"] for row in rows)
    return forgotten

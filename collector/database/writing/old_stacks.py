"""Forgets stacks whose events are gone: without that, one client could add stacks without an end.

A stack that people have decided about (its status, a link, a mark) is kept. If an event of a forgotten stack
arrives, the stack is made again, and the event is its first occurrence.
"""

from datetime import timedelta
from typing import Final

import asyncpg

from collector.database.pool import connected

_SPARE: Final = timedelta(days=2)
"""A partition goes some time after its retention, and an event may be stored long after it was accepted."""
_ROWS_AT_ONCE: Final = 5000
_MOST_STEPS: Final = 100
"""Bounds one run; the next run continues."""

_FORGET: Final = """
    DELETE FROM stacks WHERE id = ANY(ARRAY(
        SELECT id FROM stacks
        WHERE updated_utc < now() - $1::interval AND status = 'open' AND NOT occurrences_are_critical
            AND "references" = '{}'
        ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED
    )) RETURNING 1
"""


async def forget_stacks(pool: asyncpg.Pool, retention_days: int) -> int:
    """Delete stacks that got no event within retention and that people have not touched; returns how many."""
    forgotten = 0
    for _ in range(_MOST_STEPS):
        async with connected(pool) as connection:
            rows = await connection.fetch(_FORGET, timedelta(days=retention_days) + _SPARE, _ROWS_AT_ONCE)
        forgotten += len(rows)
        if len(rows) < _ROWS_AT_ONCE:
            break
    return forgotten

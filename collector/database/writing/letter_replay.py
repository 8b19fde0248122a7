"""Replaying and discarding dead letters, in short transactions.

A replayed letter becomes a held post in the transaction that removes it, so a crash loses none and repeats
none. The worker then normalizes and stores it as a new post, and it may become a dead letter again.
"""

from collections.abc import AsyncGenerator
from dataclasses import replace
from itertools import accumulate
from typing import Final, NamedTuple
from uuid import UUID

import asyncpg

from collector.database.pool import connected
from collector.database.writing.dead_letters import remove_letters
from collector.database.writing.held_posts import hold_replays
from collector.database.writing.kept_letters import (
    REPLAYABLE,
    SELECTED,
    UNREPLAYABLE_REASONS,
    LetterSelection,
    read_letters,
)
from collector.domain.intake.replay import posts_of

_LETTERS_AT_ONCE: Final = 100
_BYTES_AT_ONCE: Final = 8 << 20

_NEXT: Final = f"""
    SELECT l.id, l.project_id, octet_length(l.body) AS size FROM dead_letters l
    WHERE {SELECTED} AND (NOT $8 OR {REPLAYABLE}) AND l.id > $9 ORDER BY l.id LIMIT $10
"""  # noqa: S608 - constants only


class Step(NamedTuple):
    """What one transaction did: `left` letters could not be replayed and stay."""

    done: int
    left: int


async def replay_letters(pool: asyncpg.Pool, selection: LetterSelection) -> AsyncGenerator[Step]:
    """Replay the selected letters that may be replayed, the oldest first; each step is committed."""
    async for rows in _steps(pool, selection, only_replayable=True):
        async with connected(pool) as connection, connection.transaction():
            ids = [row["id"] for row in rows]
            letters = await read_letters(connection, ids)
            posts = {letter.id: posts_of(letter, kept_utc) for letter, kept_utc in letters}
            wanted = [id_ for id_, found in posts.items() if found]
            # Only what this transaction removed is held: another replay may have been faster.
            removed = await remove_letters(connection, {row["project_id"] for row in rows}, wanted)
            await hold_replays(connection, [post for id_ in removed for post in posts[id_]])
        yield Step(len(removed), len(posts) - len(wanted))


async def discard_letters(pool: asyncpg.Pool, selection: LetterSelection) -> AsyncGenerator[Step]:
    """Remove the selected letters for good, the oldest first; each step is committed."""
    async for rows in _steps(pool, selection, only_replayable=False):
        async with connected(pool) as connection, connection.transaction():
            ids = [row["id"] for row in rows]
            removed = await remove_letters(connection, {row["project_id"] for row in rows}, ids)
        yield Step(len(removed), 0)


async def _steps(
    pool: asyncpg.Pool, selection: LetterSelection, *, only_replayable: bool
) -> AsyncGenerator[list[asyncpg.Record]]:
    """The selected letters that exist now, in steps."""
    last = UUID(int=0)
    async with connected(pool) as connection:
        now = await connection.fetchval("SELECT now()")
    # A replayed letter that fails again is a new one: without this bound it would be replayed forever.
    selection = replace(selection, until=min(selection.until or now, now))
    while True:
        async with connected(pool) as connection:
            rows = await connection.fetch(
                _NEXT, *selection.parameters, *UNREPLAYABLE_REASONS, only_replayable, last, _LETTERS_AT_ONCE
            )
        if not rows:
            return
        totals = accumulate(row["size"] for row in rows)
        step = [
            row
            for number, (row, total) in enumerate(zip(rows, totals, strict=True))
            if total <= _BYTES_AT_ONCE or number == 0
        ]
        last = step[-1]["id"]
        yield step

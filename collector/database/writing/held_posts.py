"""Posts of projects whose events are mostly refused: held as they came, then tried again, ever more rarely.

Kept in the transaction that stores their batch, so none is lost and none is met twice. What comes out of them
is stored under batch ids of their own: a crash before a post is let go only repeats it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

import asyncpg

from collector.database.pool import connected
from collector.domain.event.outcome import HeldPost

LONGEST_HOLD: Final = timedelta(hours=24)
"""After that a post's events are stored one by one, and those that are refused become dead letters."""
_LONGEST_PAUSE: Final = timedelta(minutes=10)

_HOLD: Final = """
    INSERT INTO held_posts (id, project_id, shard, post, unpacked_limit_bytes)
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::integer[], $4::bytea[], $5::bigint[])
    ON CONFLICT DO NOTHING
"""
_DUE: Final = """
    SELECT id, shard, post, unpacked_limit_bytes, held_utc < now() - $2::interval AS is_over FROM held_posts
    WHERE project_id = $1 AND due_utc <= now() ORDER BY due_utc LIMIT $3
"""
_PUT_OFF: Final = """
    UPDATE held_posts
    SET tries = tries + 1, due_utc = now() + least(interval '1 minute' * 2 ^ least(tries, 10), $2::interval)
    WHERE project_id = $1 AND due_utc <= now()
"""


@dataclass(frozen=True, slots=True)
class DuePost:
    """A post that is to be tried; `is_over` says that it was held for long enough."""

    id: UUID
    shard: int
    post: bytes
    unpacked_limit_bytes: int
    is_over: bool


async def hold_posts(connection: asyncpg.Connection, posts: Sequence[tuple[int, HeldPost]]) -> None:
    """Keep posts, each with its shard, in the transaction that stores their batch."""
    if posts:
        await connection.execute(
            _HOLD,
            [UUID(bytes=post.id) for _, post in posts],
            [UUID(bytes=post.project_id) for _, post in posts],
            [shard for shard, _ in posts],
            [post.post for _, post in posts],
            [post.unpacked_limit_bytes for _, post in posts],
        )


async def projects_due(pool: asyncpg.Pool) -> list[UUID]:
    """The projects with posts to be tried."""
    async with connected(pool) as connection:
        rows = await connection.fetch("SELECT DISTINCT project_id FROM held_posts WHERE due_utc <= now()")
    return [row["project_id"] for row in rows]


async def posts_due(pool: asyncpg.Pool, project_id: UUID, limit: int) -> list[DuePost]:
    """Some posts of the project, those that have waited longest."""
    async with connected(pool) as connection:
        rows = await connection.fetch(_DUE, project_id, LONGEST_HOLD, limit)
    return [DuePost(*row) for row in rows]


async def put_off(pool: asyncpg.Pool, project_id: UUID) -> None:
    """The project's events are refused still: try them later."""
    async with connected(pool) as connection:
        await connection.execute(_PUT_OFF, project_id, _LONGEST_PAUSE)


async def let_go(pool: asyncpg.Pool, ids: Sequence[UUID]) -> None:
    """What came out of these posts is stored."""
    async with connected(pool) as connection:
        await connection.execute("DELETE FROM held_posts WHERE id = ANY($1)", ids)


async def number_held(pool: asyncpg.Pool) -> int:
    """How many posts are held."""
    async with connected(pool) as connection:
        number: int = await connection.fetchval("SELECT count(*) FROM held_posts")
    return number

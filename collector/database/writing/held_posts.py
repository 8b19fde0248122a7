"""Posts that cannot be stored now, held as they came and retried with growing pauses.

Postgres mostly rejects the events of their project, or storing them failed for an unknown reason. Replayed
dead letters wait here as well, for one try.

They are inserted in the transaction that stores their batch, so none is lost or held twice. When retried they
are stored under batch ids of their own: a crash before a post is deleted only leads to a replay.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

import asyncpg
import msgspec

from collector.database.pool import connected
from collector.domain.event.outcome import HeldPost
from collector.domain.ids import accepted_ms, derived_id
from collector.domain.post import Post

LONGEST_HOLD: Final = timedelta(hours=24)
"""After that the events that Postgres takes are stored, and the others become dead letters."""
_LONGEST_PAUSE: Final = timedelta(minutes=10)

_HOLD: Final = """
    INSERT INTO held_posts (id, project_id, shard, post, unpacked_limit_bytes)
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::integer[], $4::bytea[], $5::bigint[])
    ON CONFLICT DO NOTHING
"""
_REPLAY: Final = """
    INSERT INTO held_posts (id, project_id, shard, post, unpacked_limit_bytes, due_utc, is_replay)
    SELECT id, project_id, 0, post, 0, now(), true FROM unnest($1::uuid[], $2::uuid[], $3::bytea[])
        AS each (id, project_id, post)
"""
_DUE: Final = """
    SELECT id, shard, post, unpacked_limit_bytes, is_replay OR held_utc < now() - $2::interval AS is_over
    FROM held_posts WHERE project_id = $1 AND due_utc <= now() ORDER BY due_utc LIMIT $3
"""
_POSTPONE: Final = """
    UPDATE held_posts
    SET tries = tries + 1, due_utc = now() + least(interval '1 minute' * 2 ^ least(tries, 10), $2::interval)
"""
_POSTPONE_PROJECT: Final = f"{_POSTPONE} WHERE project_id = $1 AND due_utc <= now()"
_POSTPONE_POST: Final = f"{_POSTPONE} WHERE id = $1"

_encoder: Final = msgspec.msgpack.Encoder()


@dataclass(frozen=True, slots=True)
class DuePost:
    """A held post that is due for a retry; `is_over` says that this is its last try."""

    id: UUID
    shard: int
    post: bytes
    unpacked_limit_bytes: int
    is_over: bool


async def hold_posts(connection: asyncpg.Connection, posts: Sequence[tuple[int, HeldPost]]) -> None:
    """Hold posts, each with its shard, in the transaction that stores their batch."""
    if posts:
        await connection.execute(
            _HOLD,
            [UUID(bytes=post.id) for _, post in posts],
            [UUID(bytes=post.project_id) for _, post in posts],
            [shard for shard, _ in posts],
            [post.post for _, post in posts],
            [post.unpacked_limit_bytes for _, post in posts],
        )


async def hold_replays(connection: asyncpg.Connection, posts: Sequence[Post]) -> None:
    """Let posts of dead letters be tried soon, in the transaction that removes the letters.

    Each gets an id of its own, from which its batch id is made: a post may be replayed more than once.
    """
    await connection.execute(
        _REPLAY,
        [derived_id(accepted_ms(post.id), secrets.token_bytes(10)) for post in posts],
        [UUID(bytes=post.project_id) for post in posts],
        [_encoder.encode(post) for post in posts],
    )


async def projects_with_due_posts(pool: asyncpg.Pool) -> list[UUID]:
    """The projects that have posts to retry now."""
    async with connected(pool) as connection:
        rows = await connection.fetch("SELECT DISTINCT project_id FROM held_posts WHERE due_utc <= now()")
    return [row["project_id"] for row in rows]


async def due_posts(pool: asyncpg.Pool, project_id: UUID, limit: int) -> list[DuePost]:
    """Up to `limit` due posts of the project, the longest due first."""
    async with connected(pool) as connection:
        rows = await connection.fetch(_DUE, project_id, LONGEST_HOLD, limit)
    return [DuePost(*row) for row in rows]


async def postpone_posts(pool: asyncpg.Pool, project_id: UUID) -> None:
    """Retry the project's due posts later: its events are still rejected."""
    async with connected(pool) as connection:
        await connection.execute(_POSTPONE_PROJECT, project_id, _LONGEST_PAUSE)


async def postpone_post(pool: asyncpg.Pool, post_id: UUID) -> None:
    """Retry this post later; the project's other due posts stay due."""
    async with connected(pool) as connection:
        await connection.execute(_POSTPONE_POST, post_id, _LONGEST_PAUSE)


async def delete_posts(pool: asyncpg.Pool, ids: Sequence[UUID]) -> None:
    """Delete posts whose events are stored."""
    async with connected(pool) as connection:
        await connection.execute("DELETE FROM held_posts WHERE id = ANY($1)", ids)


async def count_held_posts(pool: asyncpg.Pool) -> int:
    """The number of held posts, without replayed dead letters."""
    async with connected(pool) as connection:
        number: int = await connection.fetchval("SELECT count(*) FROM held_posts WHERE NOT is_replay")
    return number

"""Retries held posts: one project after the other, a few posts at a time.

A project whose events are still mostly rejected is skipped until its next turn. If the cause was our code or
the schema, all of its posts are stored once that is fixed. If it was the data, then after a day the rows that
Postgres accepts are stored and the others become dead letters.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Protocol

import asyncpg
import msgspec
import structlog

from collector.database.errors import DatabaseUnavailable, TooManyRejected
from collector.database.pool import connected
from collector.database.writing.dead_letters import fullness
from collector.database.writing.held_posts import (
    DuePost,
    count_held_posts,
    delete_posts,
    due_posts,
    postpone_post,
    postpone_posts,
    projects_with_due_posts,
)
from collector.domain.event.outcome import NormalizedBatch, Tally
from collector.domain.ids import accepted_ms, derived_id
from collector.domain.intake.normalize import Rules, make_batch, normalize
from collector.domain.post import Post
from collector.domain.project.rules import ProjectRules
from collector.process.metrics import WorkerMetrics
from worker.consumer import Projects
from worker.retry import Cause

_PAGE: Final = 20
"""Posts read together: each may be as large as a post can be, most hold one event."""
_MOST_PAGES: Final = 100
"""Bounds one run; the next run continues."""

_decoder: Final = msgspec.msgpack.Decoder(Post)
_log = structlog.get_logger()


class HeldPostStore(Protocol):
    """The part of the store that held posts need."""

    async def save(self, batches: Sequence[NormalizedBatch], *, may_reject_all: bool = False) -> Tally:
        """Store each batch once. Raises TooManyRejected, unless all rows may be rejected."""
        ...


async def try_held_posts(
    pool: asyncpg.Pool, store: HeldPostStore, projects: Projects, rules: Rules, metrics: WorkerMetrics
) -> None:
    """Store the events of the held posts that are due, and put off those that still cannot be stored.

    A project that is still mostly rejected is put off as a whole; after any other failure only that post is.
    """
    pages_left = _MOST_PAGES
    for project_id in await projects_with_due_posts(pool):
        known = await projects.rules_for([project_id.bytes])
        failed, last_error = 0, None
        try:
            while pages_left and (due := await due_posts(pool, project_id, _PAGE)):
                pages_left -= 1
                for held in due:
                    try:
                        await _store_post(pool, store, held, rules, known.get(project_id.bytes), metrics)
                    except (DatabaseUnavailable, TooManyRejected):
                        raise
                    except Exception as error:  # noqa: BLE001 - a bug with one post must not stop the others
                        metrics.store_failures.labels(Cause.UNFORESEEN).inc()
                        failed, last_error = failed + 1, error
                        await postpone_post(pool, held.id)
        except TooManyRejected as error:
            _log.warning("held posts are put off", project=str(project_id), error=str(error))
            await postpone_posts(pool, project_id)
        # One line for each project and run, however many posts fail.
        if failed:
            _log.error(
                "held posts cannot be stored and are put off",
                project=str(project_id),
                posts=failed,
                exc_info=last_error,
            )


async def _store_post(
    pool: asyncpg.Pool,
    store: HeldPostStore,
    held: DuePost,
    rules: Rules,
    project: ProjectRules | None,
    metrics: WorkerMetrics,
) -> None:
    """Store the events of a held post, count them and delete it."""
    post = _decoder.decode(held.post)
    limit = max(rules.unpacked_limit_bytes, held.unpacked_limit_bytes)
    normalized = normalize(post, replace(rules, unpacked_limit_bytes=limit), project)
    # A new id: the post's own batch, or this part of it, is already stored under the old one.
    id_ = derived_id(accepted_ms(post.id), hashlib.sha256(b"held:" + held.id.bytes).digest())
    batch = replace(
        make_batch(id_.bytes, [normalized]),
        shard=held.shard,
        entry_id=f"held:{held.id}",
        is_part=True,
    )
    # In two transactions: a crash in between stores the post again under the same new id.
    metrics.count(await store.save([batch], may_reject_all=held.is_over))
    await delete_posts(pool, [held.id])


async def measure_held_posts(pool: asyncpg.Pool, metrics: WorkerMetrics) -> None:
    """Publish how many posts are held, and how full the dead letters are."""
    metrics.posts_held.set(await count_held_posts(pool))
    async with connected(pool) as connection:
        metrics.dead_letters_fullness.set(await fullness(connection))

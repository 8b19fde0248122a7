"""Trying held posts again: one project after the other, a few posts at a time.

A project whose events are still mostly refused is left immediately. Where the cause was our code or the
schema, all of its posts are stored once that has changed. Where it was the data, the events that Postgres
takes are stored after a day, and the others become dead letters.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Protocol
from uuid import UUID

import asyncpg
import msgspec
import structlog

from collector.database.errors import TooManyRejected
from collector.database.writing.held_posts import (
    DuePost,
    count_held_posts,
    delete_posts,
    due_posts,
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

_AT_ONCE: Final = 20
"""Each may hold a hundred thousand events; most hold one."""
_MOST_TRANSACTIONS: Final = 100
"""Of one run; the next one goes on."""

_decoder: Final = msgspec.msgpack.Decoder(Post)
_log = structlog.get_logger()


class JudgingStore(Protocol):
    """What held posts need of the store."""

    async def save(self, batches: Sequence[NormalizedBatch], *, may_refuse_all: bool = False) -> Tally:
        """Store each batch once. Raises MostlyRefused, unless all rows may be refused."""
        ...


async def try_held_posts(pool: asyncpg.Pool, store: JudgingStore, projects: Projects, rules: Rules) -> None:
    """Store what came out of the posts that are due, as far as it is taken now."""
    left = _MOST_TRANSACTIONS
    for project_id in await projects_with_due_posts(pool):
        known = await projects.rules_of([project_id.bytes])
        try:
            while left and (due := await due_posts(pool, project_id, _AT_ONCE)):
                left -= 1
                for post in due:
                    batch = _batch(post, rules, known.get(project_id.bytes))
                    await store.save([batch], may_refuse_all=post.is_over)
                    await delete_posts(pool, [post.id])
        except TooManyRejected as error:
            _log.warning("held posts are put off", project=str(project_id), error=str(error))
            await postpone_posts(pool, project_id)


async def measure_held_posts(pool: asyncpg.Pool, metrics: WorkerMetrics) -> None:
    """Publish how many posts are held."""
    metrics.posts_held.set(await count_held_posts(pool))


def _batch(due: DuePost, rules: Rules, project: ProjectRules | None) -> NormalizedBatch:
    """What came out of the post, under an id of its own: its batch, or that part of it, is stored already."""
    post = _decoder.decode(due.post)
    rules = replace(rules, unpacked_limit_bytes=max(rules.unpacked_limit_bytes, due.unpacked_limit_bytes))
    id_ = derived_id(accepted_ms(post.id), hashlib.sha256(b"held:" + post.id).digest())
    found = make_batch(id_.bytes, [normalize(post, rules, project)])
    return replace(found, shard=due.shard, entry_id=f"held:{UUID(bytes=post.id)}", is_part=True)

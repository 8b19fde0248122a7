"""A project whose events are rejected has its posts held. Nothing is lost or counted twice."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from prometheus_client import CollectorRegistry

from collector.broker.queue.post_stream import StreamEntry
from collector.database.audit import read_ledger
from collector.database.errors import TooManyRejected
from collector.database.owners.organizations import add_organization
from collector.database.owners.project_rules import StoredProjects
from collector.database.owners.projects import add_project
from collector.database.pool import close_pool, create_pool
from collector.database.writing.held_posts import LONGEST_HOLD, count_held_posts
from collector.database.writing.store import BatchStore
from collector.domain.event.outcome import Tally
from collector.domain.intake.normalize import NormalizedPost, normalize, rules_from_settings
from collector.domain.post import Post
from collector.domain.project.rules import DEFAULT_RULES
from collector.process.metrics import WorkerMetrics
from tests.support.factories import ACCEPTED_MS, ORGANIZATION, PROJECT, a_batch, a_post
from tests.support.fakes import FakeClock
from worker.batch import normalize_piece
from worker.held_posts import try_held_posts

pytestmark = pytest.mark.integration

BAD = b"\x03" * 16
RULES = rules_from_settings(200_000, 3)


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[asyncpg.Pool]:
    """Two projects, and a schema that rejects some messages."""
    pool = await create_pool(database_url, max_size=3)
    async with pool.acquire() as connection:
        await add_organization(connection, UUID(bytes=ORGANIZATION), "Acme")
        for project_id in (PROJECT, BAD):
            await add_project(connection, UUID(bytes=project_id), UUID(bytes=ORGANIZATION), "Shop")
    await pool.execute("ALTER TABLE events ADD CONSTRAINT no_rubbish CHECK (message <> 'rejected')")
    yield pool
    await close_pool(pool)


@pytest.fixture
def store(pool: asyncpg.Pool) -> BatchStore:
    """A store with a clock that stands still."""
    return BatchStore(pool, clock=FakeClock())


def rejected_post(events: int = 150) -> Post:
    """A post whose events are rejected, except one in five."""
    bodies = [b"good" if number % 5 == 0 else b"rejected" for number in range(events)]
    return a_post(body=b"\n".join(bodies), project_id=BAD, content_type="text/plain")


class Reader:
    """Stores entries as a worker does."""

    def __init__(self, pool: asyncpg.Pool, store: BatchStore) -> None:
        self.pool, self.store = pool, store

    async def save(self, entry: StreamEntry) -> Tally:
        """Save; after a rejection again, with the project held."""
        projects = await StoredProjects(self.pool).rules_for([PROJECT, BAD])
        while True:
            piece = normalize_piece(entry, 0, RULES, projects, self.store.held_projects())
            try:
                return await self.store.save(piece.batches)
            except TooManyRejected:
                continue


@pytest.fixture
def reader(pool: asyncpg.Pool, store: BatchStore) -> Reader:
    return Reader(pool, store)


async def _try(pool: asyncpg.Pool) -> CollectorRegistry:
    """Try the held posts, as another worker that knows nothing of them."""
    registry = CollectorRegistry()
    await try_held_posts(pool, BatchStore(pool), StoredProjects(pool), RULES, WorkerMetrics(registry))
    return registry


async def _usage(pool: asyncpg.Pool) -> dict[tuple[str, str], int]:
    rows = await pool.fetch("SELECT project_id, outcome, sum(events)::int AS n FROM usage GROUP BY 1, 2")
    return {("bad" if row["project_id"].bytes == BAD else "good", row["outcome"]): row["n"] for row in rows}


async def _differs(pool: asyncpg.Pool) -> bool:
    """Whether the outcomes differ from the processed events."""
    ledger = await read_ledger(pool, counts_events=True)
    return sum(each.events for each in ledger.processed.values()) != sum(ledger.outcomes.values())


def entry(*posts: Post, number: int = 1) -> StreamEntry:
    """An entry of the first shard."""
    return StreamEntry(0, f"{ACCEPTED_MS}-{number}", a_batch(*posts))


async def test_one_projects_rejected_events_do_not_stop_the_others(
    pool: asyncpg.Pool, reader: Reader
) -> None:
    """Its post is held unchanged; other posts of the entry are stored."""
    mixed = entry(a_post(), rejected_post(), a_post())

    assert await reader.save(mixed) == Tally(stored=2, held=1)
    assert await reader.save(entry(rejected_post(), a_post(), number=2)) == Tally(stored=1, held=1)

    assert await reader.save(mixed) == Tally(replayed=1)
    assert await count_held_posts(pool) == 2
    assert await _usage(pool) == {("good", "stored"): 3}
    assert not await _differs(pool)


async def test_held_posts_are_stored_once_the_cause_is_gone(pool: asyncpg.Pool, reader: Reader) -> None:
    """All of them, each event once, whatever crashes in between."""
    await reader.save(entry(rejected_post(), a_post()))
    [held] = await pool.fetch("SELECT * FROM held_posts")
    await pool.execute("ALTER TABLE events DROP CONSTRAINT no_rubbish")
    await _try(pool)
    assert await count_held_posts(pool) == 1  # not due yet

    for _ in range(2):
        await pool.execute("UPDATE held_posts SET due_utc = now()")
        await _try(pool)
        assert await count_held_posts(pool) == 0
        assert await _usage(pool) == {("good", "stored"): 1, ("bad", "stored"): 150}
        # As after a crash before it was released.
        await pool.execute("INSERT INTO held_posts SELECT ($1::held_posts).*", held)

    assert await pool.fetchval("SELECT count(*) FROM events") == 151
    assert not await _differs(pool)


async def test_held_posts_that_are_still_rejected_are_postponed(pool: asyncpg.Pool, reader: Reader) -> None:
    """For longer each time; none of their events is given up."""
    await reader.save(entry(rejected_post(), rejected_post()))
    await pool.execute("UPDATE held_posts SET due_utc = now()")

    await _try(pool)

    rows = await pool.fetch("SELECT tries, due_utc > now() AS is_later FROM held_posts")
    assert [tuple(row) for row in rows] == [(1, True)] * 2
    assert await _usage(pool) == {}


async def test_a_held_post_that_fails_delays_no_other(
    pool: asyncpg.Pool, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even one that is always the first to be tried: only that post is put off."""

    def normalize_some(post: Post, *arguments: Any) -> NormalizedPost:
        if post.body.endswith(b"poison"):
            raise ZeroDivisionError
        return normalize(post, *arguments)

    poison = a_post(body=b"rejected\n" * 150 + b"poison", project_id=BAD, content_type="text/plain")
    await reader.save(entry(poison, rejected_post(), rejected_post()))
    await pool.execute("ALTER TABLE events DROP CONSTRAINT no_rubbish")
    await pool.execute("UPDATE held_posts SET due_utc = now() - interval '1 hour'")
    await pool.execute(
        "UPDATE held_posts SET due_utc = now() - interval '1 day' WHERE id = $1", UUID(bytes=poison.id)
    )
    monkeypatch.setattr("worker.held_posts.normalize", normalize_some)

    registry = await _try(pool)

    [row] = await pool.fetch("SELECT id, tries, due_utc > now() AS is_later FROM held_posts")
    assert tuple(row) == (UUID(bytes=poison.id), 1, True)
    assert await _usage(pool) == {("bad", "stored"): 300}
    assert registry.get_sample_value("headrace_store_failures_total", {"cause": "unforeseen"}) == 1


@pytest.mark.parametrize("bug", ["is fixed", "is new"])
@pytest.mark.parametrize("weight", [100, 1000], ids=["split", "whole"])
async def test_a_bug_that_comes_or_goes_before_the_acknowledgement_stores_nothing_twice(
    pool: asyncpg.Pool, store: BatchStore, monkeypatch: pytest.MonkeyPatch, bug: str, weight: int
) -> None:
    """The entry is read again by a worker of another version, which normalizes a post that the first held."""
    is_broken = bug == "is fixed"

    def normalize_some(post: Post, *arguments: Any, **options: Any) -> NormalizedPost:
        if is_broken and b"poison" in post.body:
            raise ZeroDivisionError
        return normalize(post, *arguments, **options)

    monkeypatch.setattr("worker.batch.normalize", normalize_some)
    monkeypatch.setattr("worker.batch.TRANSACTION_WEIGHT", weight)
    large = entry(a_post(body=b"poison\n" * 150, content_type="text/plain"), a_post(), a_post())
    for _ in range(2):
        post: int | None = 0
        while post is not None:
            piece = normalize_piece(large, post, RULES, {PROJECT: DEFAULT_RULES})
            await store.save(piece.batches)
            post = piece.next_post
        is_broken = not is_broken

    assert await count_held_posts(pool) == (bug == "is fixed")
    await pool.execute("UPDATE held_posts SET due_utc = now()")
    await _try(pool)

    assert await count_held_posts(pool) == 0
    assert await pool.fetchval("SELECT count(*) FROM events") == 152
    assert await _usage(pool) == {("good", "stored"): 152}
    assert not await _differs(pool)


async def test_after_a_day_rejected_events_become_dead_letters(pool: asyncpg.Pool, reader: Reader) -> None:
    """One by one; valid events are stored."""
    await reader.save(entry(rejected_post()))
    await pool.execute("UPDATE held_posts SET due_utc = now(), held_utc = now() - $1::interval", LONGEST_HOLD)
    await pool.execute("UPDATE held_posts SET held_utc = held_utc - interval '1 second'")

    await _try(pool)

    assert await count_held_posts(pool) == 0
    assert await _usage(pool) == {("bad", "stored"): 30, ("bad", "dead_lettered"): 120}
    assert not await _differs(pool)


async def test_held_posts_of_a_deleted_project_are_discarded(pool: asyncpg.Pool, reader: Reader) -> None:
    """And counted with that reason."""
    await reader.save(entry(rejected_post()))
    await pool.execute("DELETE FROM projects WHERE id = $1", UUID(bytes=BAD))
    await pool.execute("UPDATE held_posts SET due_utc = now()")

    await _try(pool)

    assert await count_held_posts(pool) == 0
    assert await _usage(pool) == {("bad", "discarded"): 150}

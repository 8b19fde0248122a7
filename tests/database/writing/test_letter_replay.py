"""Replaying and discarding dead letters: each once, whatever crashes, and the audit adds up."""

import asyncio
import gzip
from collections import Counter
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest
from prometheus_client import CollectorRegistry

from collector.database.audit import read_ledger
from collector.database.owners.organizations import add_organization
from collector.database.owners.project_rules import StoredProjects
from collector.database.owners.projects import add_project
from collector.database.writing import letter_replay
from collector.database.writing.dead_letters import fullness
from collector.database.writing.kept_letters import LetterSelection, count_letters, list_letters
from collector.database.writing.letter_replay import discard_letters, replay_letters
from collector.database.writing.staging import dead_letter
from collector.database.writing.store import BatchStore
from collector.domain.accounting.ledger import Ledger, differences
from collector.domain.event.outcome import DeadLetter, DeadLetterReason
from collector.domain.intake.normalize import make_batch, normalize, rules_from_settings
from collector.domain.post import USER_DESCRIPTION, Post, PostBatch
from collector.process.metrics import WorkerMetrics
from tests.database.rows import ORGANIZATION, OTHER_PROJECT, PROJECT, a_letter, an_event, post_id
from tests.support.factories import a_post
from worker.held_posts import measure_held_posts, try_held_posts

pytestmark = pytest.mark.integration

NARROW = replace(rules_from_settings(200_000, 3), unpacked_limit_bytes=30)
WIDE = rules_from_settings(200_000, 3)


@pytest.fixture(autouse=True)
async def projects(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as connection:
        await add_organization(connection, ORGANIZATION, "Acme")
        for project_id in (PROJECT, OTHER_PROJECT):
            await add_project(connection, project_id, ORGANIZATION, "Shop")


def our_post(**members: Any) -> Post:
    owners = {"project_id": PROJECT.bytes, "organization_id": ORGANIZATION.bytes}
    return a_post(**({"id": post_id()} | owners | members))


def large_post(body: bytes, **members: Any) -> Post:
    """A post that unpacks to more than the narrow limit."""
    return our_post(body=gzip.compress(body, mtime=0), content_encoding="gzip", **members)


async def receive(pool: asyncpg.Pool, *posts: Post) -> None:
    """Process posts as a worker whose limit is too narrow for most of them."""
    for post in posts:
        await BatchStore(pool).save([make_batch(post_id(), [normalize(post, NARROW)])])


async def replay(pool: asyncpg.Pool, **selection: Any) -> tuple[int, int]:
    """How many were replayed, and how many could not."""
    done = left = 0
    async with aclosing(replay_letters(pool, LetterSelection(**selection))) as steps:
        async for step in steps:
            done, left = done + step.done, left + step.left
    return done, left


async def work(pool: asyncpg.Pool, rules: Any = WIDE) -> CollectorRegistry:
    """Store what waits, as a worker does."""
    registry = CollectorRegistry()
    metrics = WorkerMetrics(registry)
    await try_held_posts(pool, BatchStore(pool), StoredProjects(pool), rules, metrics)
    await measure_held_posts(pool, metrics)
    return registry


async def letters(pool: asyncpg.Pool, **selection: Any) -> list[tuple[str, bool]]:
    async with pool.acquire() as connection:
        found = await list_letters(connection, LetterSelection(**selection), limit=100)
    return [(letter.reason, letter.is_replayable) for letter in found]


async def messages(pool: asyncpg.Pool) -> list[str]:
    return [row["message"] for row in await pool.fetch("SELECT message FROM events ORDER BY id")]


async def assert_it_adds_up(pool: asyncpg.Pool) -> None:
    """Every event has an outcome, every dead-lettered one a letter, and the rollups count what is stored."""
    totals = await read_ledger(pool, counts_events=True)
    assert differences(Ledger(replace(totals, processed={}), (), {}))[1:] == []
    assert sum(each.events for each in totals.processed.values()) == sum(totals.outcomes.values())


async def test_letters_are_stored_as_new_posts_once_the_cause_is_gone(pool: asyncpg.Pool) -> None:
    """With their ids, times, senders and encodings; a second replay finds nothing."""
    long = b'[{"message": "first"}, {"message": "second", "reference_id": "order-4711"}]'
    await receive(pool, large_post(long, user_agent="shop/1"), our_post(body=b'{"message": "small"}'))
    assert await letters(pool) == [("too_large", True)]

    assert await replay(pool) == (1, 0)
    assert await replay(pool) == (0, 0)
    assert await letters(pool) == []
    await work(pool)
    await work(pool)

    assert sorted(await messages(pool)) == ["first", "second", "small"]
    assert await pool.fetchval("SELECT count(*) FROM held_posts") == 0
    await assert_it_adds_up(pool)


async def test_a_letter_that_still_cannot_be_stored_becomes_one_again_and_can_be_replayed_again(
    pool: asyncpg.Pool,
) -> None:
    """By a running replay only once, although it is dead again before that ends."""
    await receive(pool, large_post(b'{"message": "a longer message"}'))
    [before] = await pool.fetch("SELECT id, body, reason FROM dead_letters")

    for _ in range(2):
        async with aclosing(replay_letters(pool, LetterSelection())) as steps:
            async for step in steps:
                assert step.done == 1
                await work(pool, NARROW)
        [after] = await pool.fetch("SELECT id, body, reason FROM dead_letters")
        assert after == before
        await assert_it_adds_up(pool)
    assert await replay(pool) == (1, 0)
    await work(pool)

    assert await messages(pool) == ["a longer message"]
    await assert_it_adds_up(pool)


async def test_of_two_replays_at_the_same_time_each_letter_is_taken_by_one(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when one of them is stopped half way, and another one repeats it."""
    monkeypatch.setattr(letter_replay, "_LETTERS_AT_ONCE", 2)
    await receive(pool, *(large_post(b'{"message": "a longer message %d"}' % n) for n in range(7)))
    async with aclosing(replay_letters(pool, LetterSelection())) as stopped:
        assert (await anext(stopped)).done == 2

    found = await asyncio.gather(replay(pool), replay(pool))
    await work(pool)

    assert sum(done for done, _ in found) == 5
    assert sorted(await messages(pool)) == [f"a longer message {n}" for n in range(7)]
    await assert_it_adds_up(pool)


async def test_large_letters_take_fewer_in_a_step(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(letter_replay, "_BYTES_AT_ONCE", 120)
    await receive(pool, *(large_post(b'{"message": "a longer message %d"}' % n) for n in range(3)))

    async with aclosing(replay_letters(pool, LetterSelection())) as steps:
        assert [step.done async for step in steps] == [2, 1]


async def test_only_the_selected_letters_are_replayed_or_discarded(pool: asyncpg.Pool) -> None:
    """By reason, project, time and id."""
    too_large = large_post(b'{"message": "a longer message"}')
    theirs = large_post(b'{"message": "a longer message of theirs"}', project_id=OTHER_PROJECT.bytes)
    corrupt = our_post(body=b"\x1f\x8b\x00", content_encoding="gzip")
    await receive(pool, too_large, theirs, corrupt)
    old = timedelta(days=2)
    await pool.execute("UPDATE dead_letters SET created_utc = created_utc - $1::interval", old)
    now = await pool.fetchval("SELECT now()")

    assert await letters(pool, since=now - timedelta(days=1)) == []
    assert len(await letters(pool, until=now - timedelta(days=1))) == 3
    assert await letters(pool, ids=(UUID(bytes=corrupt.id),)) == [("corrupt_encoding", True)]
    assert await replay(pool, reason=DeadLetterReason.TOO_LARGE, project_id=OTHER_PROJECT) == (1, 0)
    async with aclosing(
        discard_letters(pool, LetterSelection(reason=DeadLetterReason.CORRUPT_ENCODING))
    ) as steps:
        assert [step.done async for step in steps] == [1]
    await work(pool)

    assert await letters(pool) == [("too_large", True)]
    assert await messages(pool) == ["a longer message of theirs"]
    await assert_it_adds_up(pool)


async def test_letters_whose_bytes_do_not_tell_what_they_were_stay(pool: asyncpg.Pool) -> None:
    """Unreadable entries, bodies that were removed, and what an older version kept without its kind."""
    kept = [
        a_letter(reason=DeadLetterReason.UNREADABLE_ENTRY, project_id=None, organization_id=None),
        a_letter(reason=DeadLetterReason.INVALID_DESCRIPTION),
        a_letter(body=b""),
        a_letter(reason=DeadLetterReason.NEVER_FINISHED, project_id=None, organization_id=None),
    ]
    await save(pool, *kept)

    assert await replay(pool) == (0, 1)
    async with pool.acquire() as connection:
        count = await count_letters(connection, LetterSelection())
    assert (count.letters, count.replayable, count.bytes) == (4, 1, 12)
    assert [reason for reason, _ in await letters(pool)] == [letter.reason for letter in reversed(kept)]


async def test_every_kind_of_letter_finds_its_way(pool: asyncpg.Pool) -> None:
    """A whole entry, a description, an event of version 1, and one whose time cannot be true."""
    entry = PostBatch(post_id(), (our_post(body=b'{"message": "in an entry"}'),))
    about = a_letter(
        reason=DeadLetterReason.TOO_LARGE,
        body=b'{"description": "it broke"}',
        kind=USER_DESCRIPTION,
        reference_id="order-4711",
        content_type="application/json",
    )
    await save(
        pool,
        a_letter(
            reason=DeadLetterReason.NEVER_FINISHED,
            body=msgspec.msgpack.encode(entry),
            project_id=None,
            organization_id=None,
        ),
        about,
        a_letter(
            reason=DeadLetterReason.IMPLAUSIBLE_TIME,
            id=UUID(int=(1 << 127) | 7),
            body=b'{"message": "from the future", "type": "log"}',
            content_type="application/json",
        ),
        a_letter(
            reason=DeadLetterReason.TOO_DEEP,
            body=b'{"Message": "old"}',
            api_version=1,
            content_type="application/json",
        ),
    )

    assert await replay(pool) == (4, 0)
    await work(pool)

    assert Counter(await messages(pool)) == Counter(["in an entry", "from the future", "old"])
    assert await pool.fetchval("SELECT reference_id FROM user_descriptions") == "order-4711"
    assert await letters(pool) == []


async def test_an_event_that_postgres_rejected_is_stored_with_all_its_members(pool: asyncpg.Pool) -> None:
    """Its letter holds it as it was understood."""
    event = an_event(
        type="usage",
        source="Cart",
        value=Decimal("1.50"),
        count=3,
        geo="1.5,2.5",
        tags=("a", "b"),
        reference_id="order-4711",
    )
    await save(pool, dead_letter(event, DeadLetterReason.REJECTED_BY_DATABASE, "no"))

    await replay(pool)
    await work(pool)

    [row] = await pool.fetch("SELECT * FROM events")
    for name in ("type", "source", "message", "value", "count", "geo", "reference_id", "date"):
        assert row[name] == getattr(event, name), name
    assert (row["id"].bytes, row["stack_id"].bytes, row["tags"]) == (event.id, event.stack_id, ["a", "b"])


async def test_how_full_they_are_is_published_before_bytes_go(pool: asyncpg.Pool) -> None:
    """That of the fullest project, against what makes the job remove bodies or letters."""
    async with pool.acquire() as connection:
        assert await fullness(connection) == 0
        await connection.execute(
            "INSERT INTO dead_letter_totals VALUES ($1, 6000, 10), ($2, 1, 1)", PROJECT, OTHER_PROJECT
        )
    registry = await work(pool)

    assert registry.get_sample_value("headrace_dead_letters_fullness") == pytest.approx(0.8)
    await pool.execute("UPDATE dead_letter_totals SET bytes = $1", 12 << 20)
    async with pool.acquire() as connection:
        assert await fullness(connection) == pytest.approx(1.0)


async def save(pool: asyncpg.Pool, *kept: DeadLetter) -> None:
    batch = replace(make_batch(post_id(), []), dead_letters=list(kept))
    await BatchStore(pool).save([batch])

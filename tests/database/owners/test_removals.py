"""Removing the events of stacks and projects on request."""

import asyncio
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from collector.database.owners.removals import ask_for_removal, remove_asked
from collector.database.writing.held_posts import hold_posts
from collector.database.writing.store import BatchStore
from collector.domain.event.outcome import Event, HeldPost
from tests.database.locks import waiting
from tests.database.rows import OTHER_PROJECT, PROJECT, an_event, normalized, post_id, today
from tests.support.waiting import until_equal

pytestmark = pytest.mark.integration

ASKED = today() + timedelta(minutes=1)


def usage(source: str, **members: Any) -> Event:
    """An event whose stack is its source's."""
    return an_event(type="usage", source=source, **members)


async def left(pool: asyncpg.Pool) -> tuple[list[str], list[str]]:
    """The sources of the events and the titles of the stacks that are there."""
    events = await pool.fetch("SELECT source FROM events ORDER BY 1")
    stacks = await pool.fetch("SELECT title FROM stacks ORDER BY 1")
    return [row["source"] for row in events], [row["title"] for row in stacks]


async def ask(pool: asyncpg.Pool, stack_id: bytes | None, now: datetime = ASKED) -> None:
    """Ask for the removal of a stack, or of the whole project."""
    stack = None if stack_id is None else UUID(bytes=stack_id)
    async with pool.acquire() as connection:
        await ask_for_removal(connection, [(PROJECT, stack)], now)


async def test_a_stack_goes_with_its_events_and_the_ledger_knows(pool: asyncpg.Pool) -> None:
    events = [usage("a"), usage("a"), usage("b"), usage("a", project_id=OTHER_PROJECT)]
    await BatchStore(pool).save([normalized(*events)])

    await ask(pool, events[0].stack.id)
    assert await remove_asked(pool) == 3

    assert await left(pool) == (["a", "b"], ["a", "b"])
    assert await pool.fetchval("SELECT sum(events) FROM removed_events WHERE project_id = $1", PROJECT) == 2


async def test_a_reset_takes_all_of_one_project(pool: asyncpg.Pool) -> None:
    await BatchStore(pool).save([normalized(usage("a"), usage("b"), usage("c", project_id=OTHER_PROJECT))])

    await ask(pool, None)
    await remove_asked(pool)

    assert await left(pool) == (["c"], ["c"])


async def test_what_is_accepted_afterwards_stays(pool: asyncpg.Pool) -> None:
    before, after = usage("a"), usage("a", accepted=ASKED + timedelta(hours=1))
    await BatchStore(pool).save([normalized(before), normalized(after)])

    await ask(pool, before.stack.id)
    await remove_asked(pool)

    assert await left(pool) == (["a"], ["a"])


async def test_a_request_is_done_when_nothing_older_can_arrive(pool: asyncpg.Pool) -> None:
    """A transaction that began before the request may store a quarter of an hour later."""
    await ask(pool, None)
    await pool.execute("UPDATE removals SET asked_utc = now() - interval '14 minutes'")
    await remove_asked(pool)
    assert await pool.fetchval("SELECT done_utc FROM removals") is None

    await pool.execute("UPDATE removals SET asked_utc = now() - interval '16 minutes'")
    await remove_asked(pool)
    assert await pool.fetchval("SELECT done_utc FROM removals") is not None


async def test_a_request_is_not_done_while_a_post_from_before_it_is_held(pool: asyncpg.Pool) -> None:
    """Its events are stored later, up to a day."""
    now: datetime = await pool.fetchval("SELECT now()")
    asked = now - timedelta(hours=1)
    await ask(pool, None, asked)
    for accepted in (asked - timedelta(seconds=1), asked + timedelta(seconds=1)):
        held = HeldPost(post_id(accepted), PROJECT.bytes, b"", 1)
        async with pool.acquire() as connection:
            await hold_posts(connection, [(0, held)])
    await remove_asked(pool)
    assert await pool.fetchval("SELECT done_utc FROM removals") is None

    await pool.execute("DELETE FROM held_posts WHERE id = (SELECT id FROM held_posts ORDER BY id LIMIT 1)")
    await remove_asked(pool)
    assert await pool.fetchval("SELECT done_utc FROM removals") is not None


async def test_asking_again_extends_the_request_that_is_not_done(pool: asyncpg.Pool) -> None:
    """So the table stays small however often people ask."""
    event = usage("a", accepted=ASKED + timedelta(minutes=30))
    await BatchStore(pool).save([normalized(event)])
    for stack_id in (event.stack.id, None):
        for minutes in (0, 60, 0):
            await ask(pool, stack_id, ASKED + timedelta(minutes=minutes))

    assert await pool.fetch("SELECT asked_utc FROM removals") == [(ASKED + timedelta(hours=1),)] * 2
    await remove_asked(pool)
    assert await left(pool) == ([], [])

    await pool.execute("UPDATE removals SET done_utc = now()")
    await ask(pool, None)
    assert await pool.fetchval("SELECT count(*) FROM removals") == 3


async def test_a_stack_stays_whose_next_event_is_being_stored(pool: asyncpg.Pool) -> None:
    """The removal waits for the worker's lock on the stack, then looks for events again."""
    before, after = usage("a"), usage("a", accepted=ASKED + timedelta(hours=1))
    store = BatchStore(pool)
    await store.save([normalized(before)])
    await ask(pool, before.stack.id)

    async with asyncio.TaskGroup() as tasks, pool.acquire() as other, other.transaction():
        # `processed` is the last table that a worker writes: it waits with the stack locked.
        await other.execute("LOCK TABLE processed IN EXCLUSIVE MODE")
        tasks.create_task(store.save([normalized(after)]))
        await until_equal(lambda: waiting(pool), 1)
        tasks.create_task(remove_asked(pool))
        await until_equal(lambda: waiting(pool), 2)

    assert await left(pool) == (["a"], ["a"])

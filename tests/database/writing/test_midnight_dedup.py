"""A reference that is met again shortly after midnight is a duplicate, also when two workers race."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import pytest

from collector.database.writing.store import BatchStore
from collector.domain.event.outcome import Event, Tally
from tests.database.rows import OTHER_PROJECT, an_event, days_ago, normalized, stored, usage

pytestmark = pytest.mark.integration

MIDNIGHT = days_ago(5).replace(hour=0)


@pytest.fixture
def store(pool: asyncpg.Pool) -> BatchStore:
    """A store with the window that is the default."""
    return BatchStore(pool)


def an_event_at(minutes: float, reference_id: str = "order-4711", **members: Any) -> Event:
    """Accepted so many minutes after midnight."""
    accepted: datetime = MIDNIGHT + timedelta(minutes=minutes)
    return an_event(accepted=accepted, reference_id=reference_id, **members)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(-1, 1, id="a moment apart"),
        pytest.param(-30, 30, id="an hour apart"),
        pytest.param(-60, 0, id="an hour before midnight"),
        pytest.param(-0.001, 59.9, id="nearly an hour after it"),
        pytest.param(10, -10, id="the later one was stored first"),
    ],
)
async def test_a_repeat_across_midnight_is_a_duplicate(
    store: BatchStore, pool: asyncpg.Pool, first: float, second: float
) -> None:
    """What is stored stays, whichever it is; and both are counted."""
    stays = an_event_at(first)

    assert await store.save([normalized(stays)]) == Tally(stored=1)
    assert await store.save([normalized(an_event_at(second))]) == Tally(duplicate=1)

    assert [row["id"].bytes for row in await stored(pool)] == [stays.id]
    assert await usage(pool) == {("stored", ""): 1, ("duplicate", ""): 1}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(an_event_at(-30), an_event_at(31), id="more than an hour apart"),
        pytest.param(an_event_at(-61), an_event_at(0), id="more than an hour before midnight"),
        pytest.param(an_event_at(-1), an_event_at(1, project_id=OTHER_PROJECT), id="another project"),
        pytest.param(an_event_at(-1), an_event_at(1, "Order-4711"), id="another case"),
        pytest.param(
            an_event_at(-1, "invalid-reference-id"), an_event_at(1, "invalid-reference-id"), id="no reference"
        ),
        pytest.param(an_event_at(-1), an_event_at(24 * 60 - 1), id="a day apart"),
    ],
)
async def test_what_is_no_repeat_is_stored(store: BatchStore, one: Event, other: Event) -> None:
    """By the rules that hold everywhere else."""
    assert await store.save([normalized(one)]) == Tally(stored=1)
    assert await store.save([normalized(other)]) == Tally(stored=1)


async def test_in_one_batch_the_first_accepted_wins(store: BatchStore, pool: asyncpg.Pool) -> None:
    """Whatever their order in it; three in a row are judged by what is stored."""
    events = [an_event_at(minutes) for minutes in (40, -30, 20)]

    assert await store.save([normalized(*events)]) == Tally(stored=2, duplicate=1)

    # 40 is more than an hour after -30, and 20, which is not, is not there.
    assert [row["id"].bytes for row in await stored(pool)] == [events[1].id, events[0].id]


async def test_a_refused_event_is_no_first_one(store: BatchStore, pool: asyncpg.Pool) -> None:
    """What follows it takes its place, in the same partition or the next."""
    refused = an_event_at(-2, data=b"nope")
    second, third = an_event_at(-1), an_event_at(1)

    tally = await store.save([normalized(refused, second, third)])

    assert tally == Tally(stored=1, duplicate=1, dead_lettered=1)
    assert [row["id"].bytes for row in await stored(pool)] == [second.id]


async def test_a_window_of_nothing_is_off(pool: asyncpg.Pool) -> None:
    """Then a reference is unique by UTC day alone."""
    store = BatchStore(pool, reference_window=timedelta())

    assert await store.save([normalized(an_event_at(-1))]) == Tally(stored=1)
    assert await store.save([normalized(an_event_at(1))]) == Tally(stored=1)


async def test_a_window_of_hours_reaches_as_far(pool: asyncpg.Pool) -> None:
    """Not only to the hours beside midnight."""
    store = BatchStore(pool, reference_window=timedelta(hours=5))

    assert await store.save([normalized(an_event_at(-150))]) == Tally(stored=1)
    assert await store.save([normalized(an_event_at(150))]) == Tally(duplicate=1)


async def test_two_that_store_on_both_sides_at_once_store_it_once(
    store: BatchStore, pool: asyncpg.Pool
) -> None:
    """Neither sees the other's rows before the commit: the gate lets them pass one after the other."""
    rounds, references = 25, [f"reference-{number}" for number in range(10)]

    for number in range(rounds):
        async with asyncio.TaskGroup() as tasks:
            for minutes in (-5, 5, -4, 4):
                events = [an_event_at(minutes, f"{reference}-{number}") for reference in references]
                tasks.create_task(store.save([normalized(*events)]))

    rows = await pool.fetch("SELECT reference_id, count(*) AS n FROM events GROUP BY 1")
    assert len(rows) == rounds * len(references)
    assert {row["n"] for row in rows} == {1}
    assert (await usage(pool))["duplicate", ""] == 3 * rounds * len(references)


async def test_transactions_with_both_sides_do_not_wait_in_a_circle(
    store: BatchStore, pool: asyncpg.Pool
) -> None:
    """As when a backlog is drained that was accepted around midnight."""
    references = [f"reference-{number}" for number in range(50)]

    async with asyncio.TaskGroup() as tasks:
        for minutes in (-5, 5, -4, 4):
            events = [an_event_at(sign * minutes, reference) for reference in references for sign in (1, -1)]
            tasks.create_task(store.save([normalized(*events)]))

    assert len(await stored(pool)) == len(references)


async def test_away_from_midnight_nobody_waits_at_the_gate(store: BatchStore, pool: asyncpg.Pool) -> None:
    """Events without a reference never do."""
    async with pool.acquire() as connection, connection.transaction(), asyncio.timeout(5):
        await connection.execute("LOCK TABLE midnight_gate")

        assert await store.save([normalized(an_event_at(61), an_event_at(-61))]) == Tally(stored=2)
        assert await store.save([normalized(an_event(accepted=MIDNIGHT))]) == Tally(stored=1)

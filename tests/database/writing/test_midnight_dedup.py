"""A reference that repeats shortly after midnight is a duplicate, even when two workers race."""

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
    """A store with the default window."""
    return BatchStore(pool)


def an_event_at(minutes: float, reference_id: str = "order-4711", **members: Any) -> Event:
    """An event accepted this many minutes after midnight."""
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
    """The one stored first stays, even if it was accepted later; both are counted."""
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
async def test_an_event_that_repeats_no_reference_within_the_window_is_stored(
    store: BatchStore, one: Event, other: Event
) -> None:
    """The same rules apply as within a day."""
    assert await store.save([normalized(one)]) == Tally(stored=1)
    assert await store.save([normalized(other)]) == Tally(stored=1)


async def test_in_one_batch_the_first_accepted_wins(store: BatchStore, pool: asyncpg.Pool) -> None:
    """Whatever their order in the batch. Each is compared with what is stored."""
    events = [an_event_at(minutes) for minutes in (40, -30, 20)]

    assert await store.save([normalized(*events)]) == Tally(stored=2, duplicate=1)

    # 20 repeats -30 and is not stored; 40 is more than an hour after -30.
    assert [row["id"].bytes for row in await stored(pool)] == [events[1].id, events[0].id]


async def test_a_rejected_event_does_not_make_the_next_one_a_duplicate(
    store: BatchStore, pool: asyncpg.Pool
) -> None:
    """The next event with its reference is stored, in the same partition or the next."""
    rejected = an_event_at(-2, data=b"nope")
    second, third = an_event_at(-1), an_event_at(1)

    tally = await store.save([normalized(rejected, second, third)])

    assert tally == Tally(stored=1, duplicate=1, dead_lettered=1)
    assert [row["id"].bytes for row in await stored(pool)] == [second.id]


async def test_a_window_of_zero_turns_the_look_up_off(pool: asyncpg.Pool) -> None:
    """A reference is then unique within its UTC day only."""
    store = BatchStore(pool, reference_window=timedelta())

    assert await store.save([normalized(an_event_at(-1))]) == Tally(stored=1)
    assert await store.save([normalized(an_event_at(1))]) == Tally(stored=1)


async def test_a_window_may_span_several_hours(pool: asyncpg.Pool) -> None:
    """Not just the hours next to midnight."""
    store = BatchStore(pool, reference_window=timedelta(hours=5))

    assert await store.save([normalized(an_event_at(-150))]) == Tally(stored=1)
    assert await store.save([normalized(an_event_at(150))]) == Tally(duplicate=1)


async def test_concurrent_transactions_on_both_sides_store_a_reference_once(
    store: BatchStore, pool: asyncpg.Pool
) -> None:
    """Neither sees the other's rows before the commit, so the gate makes one wait for the other."""
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


async def test_transactions_with_events_of_both_sides_do_not_deadlock(
    store: BatchStore, pool: asyncpg.Pool
) -> None:
    """As happens when a backlog from around midnight is drained."""
    references = [f"reference-{number}" for number in range(50)]

    async with asyncio.TaskGroup() as tasks:
        for minutes in (-5, 5, -4, 4):
            events = [an_event_at(sign * minutes, reference) for reference in references for sign in (1, -1)]
            tasks.create_task(store.save([normalized(*events)]))

    assert len(await stored(pool)) == len(references)


async def test_away_from_midnight_no_transaction_waits_at_the_gate(
    store: BatchStore, pool: asyncpg.Pool
) -> None:
    """Neither do events without a reference near midnight."""
    async with pool.acquire() as connection, connection.transaction(), asyncio.timeout(5):
        await connection.execute("LOCK TABLE midnight_gate")

        assert await store.save([normalized(an_event_at(61), an_event_at(-61))]) == Tally(stored=2)
        assert await store.save([normalized(an_event(accepted=MIDNIGHT))]) == Tally(stored=1)

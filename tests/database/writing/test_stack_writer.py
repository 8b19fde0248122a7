"""Stacks are created with their first event, count stored events, and may discard events."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest

from collector.database import chunks
from collector.database.errors import DatabaseUnavailable
from collector.database.pool import close_pool, create_pool
from collector.database.writing.stack_writer import StackWriter
from collector.database.writing.store import BatchStore
from collector.domain.event.outcome import Event, Tally
from collector.domain.event.stack import Stack, plain_stack
from tests.database.rows import (
    ORGANIZATION,
    OTHER_PROJECT,
    PROJECT,
    an_event,
    days_ago,
    normalized,
    stored,
    today,
    usage,
)
from tests.database.stack_rows import a_stack_row
from tests.support.waiting import until

pytestmark = pytest.mark.integration

STACK = plain_stack(PROJECT.bytes, "log", "shop")
STACK_ID = UUID(bytes=STACK.id)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def store(pool: asyncpg.Pool) -> BatchStore:
    """A store on the test's own database."""
    return BatchStore(pool)


def a_log(**members: Any) -> Event:
    """An event of `STACK`."""
    return an_event(**({"source": "shop"} | members))


async def stack(pool: asyncpg.Pool, stack_id: UUID = STACK_ID) -> asyncpg.Record:
    """A stack's row."""
    return await pool.fetchrow("SELECT * FROM stacks WHERE id = $1", stack_id)


async def firsts(pool: asyncpg.Pool) -> list[bytes]:
    """The ids of the events that are first occurrences."""
    return [row["id"].bytes for row in await stored(pool) if row["is_first_occurrence"]]


async def test_a_stack_is_made_of_its_first_event(store: BatchStore, pool: asyncpg.Pool) -> None:
    """It is open and has the title, type and tags of that event."""
    event = an_event(
        type="error",
        message="No stock.",
        tags=("a", "b"),
        date=days_ago(2),
        stack=Stack(b"\x07" * 16, "f" * 40, {"ExceptionType": "ShopError"}, "Mine"),
    )

    await store.save([normalized(event)])

    row = dict(await stack(pool, UUID(bytes=b"\x07" * 16)))
    assert msgspec.json.decode(row.pop("signature_info")) == {"ExceptionType": "ShopError"}
    assert row.pop("created_utc") == row.pop("updated_utc")
    assert row == {
        "id": UUID(bytes=b"\x07" * 16),
        "project_id": PROJECT,
        "organization_id": ORGANIZATION,
        "type": "error",
        "signature_hash": "f" * 40,
        "title": "Mine",
        "description": None,
        "status": "open",
        "total_occurrences": 1,
        "first_occurrence": days_ago(2),
        "last_occurrence": days_ago(2),
        "date_fixed": None,
        "fixed_in_version": None,
        "snooze_until_utc": None,
        "occurrences_are_critical": False,
        "references": [],
        "tags": ["a", "b"],
    }
    assert [each["stack_id"] for each in await stored(pool)] == [UUID(bytes=b"\x07" * 16)]


async def test_totals_are_counted_over_transactions(store: BatchStore, pool: asyncpg.Pool) -> None:
    """An event counts as its `count`; the dates are those of the events."""
    noon = today()
    await store.save(
        [normalized(a_log(date=noon), a_log(date=noon - MINUTE, count=5), a_log(count=0, date=noon))]
    )
    await store.save([normalized(a_log(date=noon - 3 * MINUTE), an_event(source="other"))])
    await store.save([normalized(a_log(date=noon + MINUTE, project_id=OTHER_PROJECT))])

    row = await stack(pool)

    assert row["total_occurrences"] == 1 + 5 + 1 + 1
    assert (row["first_occurrence"], row["last_occurrence"]) == (noon - 3 * MINUTE, noon)
    assert await pool.fetchval("SELECT count(*) FROM stacks") == 3


async def test_a_total_is_capped(store: BatchStore, pool: asyncpg.Pool) -> None:
    """No sender can overflow the column and so block the worker."""
    await a_stack_row(pool, STACK_ID, total_occurrences=2**53 - 3)

    assert await store.save([normalized(a_log(count=2**31 - 1))]) == Tally(stored=1)

    assert (await stack(pool))["total_occurrences"] == 2**53 - 1


async def test_exactly_one_event_is_the_first_occurrence(store: BatchStore, pool: asyncpg.Pool) -> None:
    """The one accepted first, whatever the order in the transaction."""
    events = [a_log(), a_log(), a_log()]

    await store.save([normalized(*events[::-1])])
    await store.save([normalized(a_log())])

    assert await firsts(pool) == [events[0].id]


async def test_replays_and_duplicates_do_not_count(store: BatchStore, pool: asyncpg.Pool) -> None:
    """A stack's total is the number of its stored events."""
    batch = normalized(a_log(reference_id="order-4711"), a_log(reference_id="order-4711"), a_log())

    assert await store.save([batch]) == Tally(stored=2, duplicate=1)
    assert await store.save([batch]) == Tally(replayed=1)
    assert await store.save([normalized(a_log(reference_id="order-4711"))]) == Tally(duplicate=1)

    assert (await stack(pool))["total_occurrences"] == 2


async def test_a_stack_without_stored_events_is_not_made(store: BatchStore, pool: asyncpg.Pool) -> None:
    """Its only events are duplicates or were rejected."""
    await store.save([normalized(a_log(reference_id="order-4711"))])

    tally = await store.save(
        [
            normalized(
                an_event(source="duplicate", reference_id="order-4711"),
                an_event(source="rejected", data=b"{oops"),
                a_log(),
            )
        ]
    )

    assert tally == Tally(stored=1, duplicate=1, dead_lettered=1)
    assert await pool.fetchval("SELECT array_agg(title) FROM stacks") == ["shop"]
    assert len(await firsts(pool)) == 1


@pytest.mark.parametrize("is_rejected", [True, False])
async def test_the_next_event_is_the_first_occurrence_if_the_first_is_not_stored(
    store: BatchStore, pool: asyncpg.Pool, *, is_rejected: bool
) -> None:
    """The first event of a new stack is rejected or a duplicate."""
    await store.save([normalized(an_event(source="before", reference_id="order-4711"))])
    lost = a_log(data=b"{oops") if is_rejected else a_log(reference_id="order-4711")
    first, second = a_log(), a_log()

    await store.save([normalized(second, lost, first)])

    assert (await firsts(pool))[1:] == [first.id]
    assert (await stack(pool))["total_occurrences"] == 2


async def test_events_of_a_discarded_stack_are_counted_as_discarded(
    store: BatchStore, pool: asyncpg.Pool
) -> None:
    """With the reason; the other events of their post are stored."""
    await a_stack_row(pool, STACK_ID, status="discarded")

    assert await store.save([normalized(a_log(), an_event(), a_log())]) == Tally(stored=1, discarded=2)
    assert await store.save([normalized(a_log())]) == Tally(discarded=1)

    assert len(await stored(pool)) == 1
    assert await usage(pool) == {("stored", ""): 1, ("discarded", "discarded_stack"): 3}
    assert (await stack(pool))["total_occurrences"] == 3  # as it was
    assert await pool.fetchval("SELECT events FROM processed") == 4


async def test_events_of_a_critical_stack_are_tagged(store: BatchStore, pool: asyncpg.Pool) -> None:
    """From when it was marked on, and only if no tag differs from that one in case only."""
    other = an_event(source="basket")
    await store.save([normalized(a_log(tags=("a",)), other)])
    await pool.execute("UPDATE stacks SET occurrences_are_critical = true WHERE id = $1", STACK_ID)

    await store.save([normalized(a_log(tags=("b",)), a_log(tags=("CRITICAL",)), an_event(source="basket"))])

    assert sorted(row["tags"] for row in await stored(pool)) == [
        [],
        [],
        ["CRITICAL"],
        ["a"],
        ["b", "Critical"],
    ]


@pytest.mark.parametrize(
    ("members", "version", "status"),
    [
        pytest.param({"status": "fixed", "date_fixed": -MINUTE}, None, "regressed", id="a newer event"),
        pytest.param({"status": "fixed", "date_fixed": MINUTE}, None, "fixed", id="an older event"),
        pytest.param(
            {"fixed_in_version": "1.2"}, "1.2.0", "regressed", id="the version that should have fixed it"
        ),
        pytest.param({"fixed_in_version": "1.2"}, "1.10", "regressed", id="a newer version"),
        pytest.param({"fixed_in_version": "1.2"}, "1.1.9", "fixed", id="an older version"),
        pytest.param(
            {"fixed_in_version": "1.0.0-beta.11"}, "1.0.0-beta.2", "fixed", id="an older pre-release"
        ),
        pytest.param(
            {"fixed_in_version": "1.0.0-beta.2"}, "1.0.0-beta.11", "regressed", id="a newer pre-release"
        ),
        pytest.param({"fixed_in_version": "1.2"}, None, "fixed", id="no version"),
        pytest.param({"fixed_in_version": "1.2"}, 7, "fixed", id="a version that is not a text"),
        pytest.param(
            {"status": "snoozed", "snooze_until_utc": -MINUTE},
            None,
            "open",
            id="a snooze that is over",
        ),
        pytest.param({"status": "snoozed", "snooze_until_utc": MINUTE}, None, "snoozed", id="a snooze"),
        pytest.param({"status": "ignored"}, None, "ignored", id="ignored"),
    ],
)
async def test_an_event_reopens_a_fixed_or_snoozed_stack(
    store: BatchStore, pool: asyncpg.Pool, members: dict[str, Any], version: Any, status: str
) -> None:
    """A fixed stack regresses by date or version; a snooze ends. Times are relative to the event."""
    fixed = {"status": "fixed", "date_fixed": today() - MINUTE} if "fixed_in_version" in members else {}
    times = {name: today() + value for name, value in members.items() if isinstance(value, timedelta)}
    await a_stack_row(pool, STACK_ID, **(fixed | members | times))
    data = msgspec.json.encode({} if version is None else {"@version": version})

    await store.save([normalized(a_log(date=today(), data=data))])

    assert (await stack(pool))["status"] == status


@pytest.fixture(params=[chunks.ROWS_PER_STATEMENT, 7], ids=["in one statement", "in slices"])
def rows_per_statement(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many rows one statement touches."""
    monkeypatch.setattr(chunks, "ROWS_PER_STATEMENT", request.param)
    return int(request.param)


async def test_no_statement_touches_more_stacks_than_a_slow_server_can_do(
    pool: asyncpg.Pool, rows_per_statement: int
) -> None:
    """Otherwise it would time out, and so would each retry."""
    events = [an_event(source=f"source-{number}") for number in range(20)]
    queries: list[str] = []
    async with pool.acquire() as connection, connection.transaction():
        stack_writer = StackWriter(connection)
        with connection.query_logger(lambda record: queries.append(record.query)):
            await stack_writer.begin(events)
            await stack_writer.end(events, ())

    number = -(-len(events) // rows_per_statement)
    assert sum("INSERT INTO stacks" in query for query in queries) == number
    assert sum("UPDATE stacks" in query for query in queries) == number


@pytest.mark.usefixtures("rows_per_statement")
async def test_concurrent_workers_with_new_stacks_agree_on_the_first_occurrence(pool: asyncpg.Pool) -> None:
    """Many new stacks in opposite orders: no deadlock, and one first occurrence each."""
    sources = [f"source-{number}" for number in range(40)]

    async with asyncio.TaskGroup() as tasks:
        savers = [
            tasks.create_task(BatchStore(pool).save([normalized(*[an_event(source=name) for name in order])]))
            for order in (sources, sources[::-1]) * 3
        ]

    assert [saver.result() for saver in savers] == [Tally(stored=40)] * 6
    assert len(await firsts(pool)) == 40
    rows = await pool.fetch("SELECT total_occurrences FROM stacks")
    assert [row["total_occurrences"] for row in rows] == [6] * 40


@pytest.mark.usefixtures("rows_per_statement")
async def test_concurrent_workers_with_known_stacks_lose_no_count(pool: asyncpg.Pool) -> None:
    """They lock the stacks in the same order, and each adds to the total of the others."""
    sources = [f"source-{number}" for number in range(20)]
    await BatchStore(pool).save([normalized(*[an_event(source=name) for name in sources])])

    async with asyncio.TaskGroup() as tasks:
        for order in (sources, sources[::-1]) * 4:
            batch = normalized(*[an_event(source=name, count=2) for name in order])
            tasks.create_task(BatchStore(pool).save([batch]))

    rows = await pool.fetch("SELECT total_occurrences FROM stacks")
    assert [row["total_occurrences"] for row in rows] == [1 + 8 * 2] * 20


async def test_a_worker_that_dies_leaves_the_first_occurrence_to_another(
    database_url: str, pool: asyncpg.Pool
) -> None:
    """Its stack was never visible to others."""
    small_pool = await create_pool(database_url, max_size=1, application_name="victim")
    try:
        async with pool.acquire() as blocker, blocker.transaction():
            # The victim has inserted its stack, and waits for the table of usage near its end.
            await blocker.execute("LOCK TABLE usage")
            dying = asyncio.create_task(BatchStore(small_pool).save([normalized(a_log())]))
            await until(lambda: _is_waiting(pool, "victim"), what="the victim waits")
            surviving = asyncio.create_task(BatchStore(pool).save([normalized(survivor := a_log())]))
            await until(lambda: _is_waiting(pool, "headrace"), what="the other waits for the stack")
            await pool.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'victim'"
            )
            with pytest.raises(DatabaseUnavailable):
                await dying
        assert await surviving == Tally(stored=1)
    finally:
        await close_pool(small_pool)

    assert await firsts(pool) == [survivor.id]
    assert (await stack(pool))["total_occurrences"] == 1


async def _is_waiting(pool: asyncpg.Pool, application_name: str) -> bool:
    return bool(
        await pool.fetchval(
            "SELECT bool_or(wait_event_type = 'Lock') FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = $1",
            application_name,
        )
    )


async def test_a_stack_deleted_in_the_meantime_is_made_again(
    store: BatchStore, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The transaction is repeated; no event is stored without its stack."""
    await store.save([normalized(a_log())])
    batch = normalized(a_log())
    write = "collector.database.writing.event_writer.EventWriter.write"

    async def delete_stacks(*_arguments: object) -> None:
        """What another process does while events are written."""
        await pool.execute("DELETE FROM stacks")

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(write, delete_stacks)
        with pytest.raises(DatabaseUnavailable, match="stack"):
            await store.save([batch])

    assert await store.save([batch]) == Tally(stored=1)
    assert (await stack(pool))["total_occurrences"] == 1
    assert len(await firsts(pool)) == 2


async def test_a_bad_text_in_a_stack_does_not_fail_the_transaction(
    store: BatchStore, pool: asyncpg.Pool
) -> None:
    """Its event becomes a dead letter, and the other event is stored."""
    odd = an_event(
        type="x\0y",
        message="\ud800",
        tags=("\0",),
        stack=Stack(b"\x07" * 16, "f" * 40, {"\0": "\ud800"}, "\0"),
    )

    assert await store.save([normalized(odd, a_log())]) == Tally(stored=1, dead_lettered=1)
    assert await pool.fetchval("SELECT count(*) FROM stacks") == 1

"""Batches are stored once, whole, and a bad row costs only itself."""

import asyncio
from collections import Counter
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import msgspec
import pytest

from collector.database.errors import DatabaseUnavailable, TooManyRejected
from collector.database.pool import close_pool, create_pool
from collector.database.search.events import StoredEvent
from collector.database.writing.outcome_counts import NO_PROJECT
from collector.database.writing.store import BatchStore
from collector.domain.event.outcome import Discard, DiscardReason, Event, NormalizedBatch, Tally
from tests.database.rows import (
    ORGANIZATION,
    OTHER_PROJECT,
    PROJECT,
    a_letter,
    an_event,
    as_stored,
    days_ago,
    normalized,
    stored,
    today,
    usage,
)
from tests.support.real_clock import real_days_ago, real_now
from tests.support.waiting import until

pytestmark = pytest.mark.integration


@pytest.fixture
def store(pool: asyncpg.Pool) -> BatchStore:
    """A store on the test's own database."""
    return BatchStore(pool)


async def test_an_event_is_stored_with_all_that_it_has(store: BatchStore, pool: asyncpg.Pool) -> None:
    """In every column, to the last digit."""
    event = an_event(
        reference_id="order-4711",
        message="Grüße",
        source="shop",
        tags=("a", "b"),
        value=Decimal("1.50"),
        count=3,
        geo="40.5,-74.25",
        date_offset_minutes=-300,
        is_first_occurrence=True,
    )

    assert await store.save([normalized(event)]) == Tally(stored=1)

    (row,) = await stored(pool)
    found = StoredEvent(**{**row, "tags": tuple(row["tags"])})
    assert found == as_stored(event)
    assert str(found.value) == "1.50"


async def test_a_replayed_batch_contributes_nothing_not_even_counts(
    store: BatchStore, pool: asyncpg.Pool
) -> None:
    """A worker died after the commit, and another one claims its entry."""
    discarded = Counter({Discard(PROJECT, today(), DiscardReason.TOO_OLD): 2})
    batch = normalized(
        an_event(), an_event(reference_id="order-4711"), dead_letters=[a_letter()], discarded=discarded
    )

    assert await store.save([batch]) == Tally(stored=2, discarded=2, dead_lettered=1)
    before = await usage(pool)

    assert await store.save([batch, batch]) == Tally(replayed=2)
    assert await usage(pool) == before
    assert len(await stored(pool)) == 2


async def test_a_batch_that_is_twice_in_one_save_is_stored_once(
    store: BatchStore, pool: asyncpg.Pool
) -> None:
    """The same worker may read an entry and claim it."""
    batch = normalized(an_event())

    assert await store.save([batch, batch]) == Tally(stored=1, replayed=1)
    assert len(await stored(pool)) == 1


async def test_a_reference_id_is_stored_once_a_project_and_day(store: BatchStore, pool: asyncpg.Pool) -> None:
    """The first of a batch wins, and a stored event wins over a new one. Other projects are not affected."""
    first, second = an_event(reference_id="order-4711"), an_event(reference_id="order-4711")
    elsewhere = an_event(reference_id="order-4711", project_id=OTHER_PROJECT)

    tally = await store.save([normalized(second, first, elsewhere)])
    again = await store.save([normalized(an_event(reference_id="order-4711"))])

    assert tally == Tally(stored=2, duplicate=1)
    assert again == Tally(duplicate=1)
    assert [row["id"].bytes for row in await stored(pool)] == [first.id, elsewhere.id]
    assert await usage(pool) == {("stored", ""): 2, ("duplicate", ""): 2}


async def test_a_reference_may_repeat_on_another_day(store: BatchStore) -> None:
    """It is unique within a UTC day of acceptance."""
    yesterday = an_event(accepted=days_ago(1), reference_id="order-4711")

    assert await store.save([normalized(yesterday)]) == Tally(stored=1)
    assert await store.save([normalized(an_event(reference_id="order-4711"))]) == Tally(stored=1)


async def test_the_placeholder_for_unusable_references_is_never_a_duplicate(store: BatchStore) -> None:
    """Any number of events may have it."""
    events = [an_event(reference_id="invalid-reference-id") for _ in range(3)]

    assert await store.save([normalized(*events)]) == Tally(stored=3)


async def test_references_that_differ_in_case_are_different(store: BatchStore) -> None:
    """References are compared byte by byte."""
    events = [an_event(reference_id="Order-4711"), an_event(reference_id="order-4711")]

    assert await store.save([normalized(*events)]) == Tally(stored=2)


@pytest.mark.parametrize(
    ("members", "error"),
    [
        pytest.param({"message": "a\0b"}, "CharacterNotInRepertoire", id="NUL in a text"),
        pytest.param({"message": "\ud800"}, "UnicodeEncodeError", id="a lone surrogate"),
        pytest.param({"data": b"{oops"}, "InvalidTextRepresentation", id="invalid JSON"),
        pytest.param({"data": b'{"a":"\\u0000"}'}, "UntranslatableCharacter", id="NUL escape in data"),
        pytest.param({"data": b'{"a":1e999999}'}, "NumericValueOutOfRange", id="a number beyond numeric"),
        pytest.param({"data": b"[" * 50_000 + b"]" * 50_000}, "StatementTooComplex", id="too deep"),
        pytest.param({"count": 2**40}, "OverflowError", id="a count beyond its column"),
        pytest.param({"type": None}, "NotNullViolation", id="no type"),
    ],
)
async def test_a_bad_event_does_not_affect_the_others(
    store: BatchStore, pool: asyncpg.Pool, members: dict[str, Any], error: str
) -> None:
    """The other 20 are stored, and the bad one becomes a dead letter with the reason."""
    poisoned = an_event(**members)
    events = [an_event(reference_id=f"reference-{number}") for number in range(20)]
    events.insert(13, poisoned)

    tally = await store.save([normalized(*events)])

    assert tally == Tally(stored=20, dead_lettered=1)
    assert poisoned.id not in {row["id"].bytes for row in await stored(pool)}
    letter = await pool.fetchrow("SELECT * FROM dead_letters")
    assert letter["id"].bytes == poisoned.id
    assert letter["reason"] == "rejected_by_database"
    assert error in letter["detail"]
    assert (letter["project_id"], letter["organization_id"]) == (PROJECT, ORGANIZATION)
    if poisoned.data:
        assert letter["body"].endswith(b', "data": ' + poisoned.data + b"}")
    assert await usage(pool) == {("stored", ""): 20, ("dead_lettered", "rejected_by_database"): 1}


async def test_a_stream_of_bad_events_alone_does_not_become_dead_letters(
    store: BatchStore, pool: asyncpg.Pool
) -> None:
    """Something else is wrong: nothing is stored or counted until that is fixed."""
    batch = normalized(*[an_event(data=b"nope") for _ in range(120)])

    for _ in range(2):
        with pytest.raises(TooManyRejected, match="invalid input syntax for type json"):
            await store.save([batch])

    assert await usage(pool) == {}
    assert await pool.fetchval("SELECT count(*) FROM dead_letters") == 0
    fixed = NormalizedBatch(batch.id, 1, events=[an_event() for _ in range(120)])
    assert await store.save([fixed]) == Tally(stored=120)


async def test_a_small_batch_of_bad_events_alone_becomes_dead_letters(
    store: BatchStore, pool: asyncpg.Pool
) -> None:
    """The halving ends, with a dead letter for each row."""
    tally = await store.save([normalized(*[an_event(data=b"nope") for _ in range(5)])])

    assert tally == Tally(dead_lettered=5)
    assert await pool.fetchval("SELECT count(*) FROM dead_letters") == 5


async def test_the_body_of_a_rejected_event_is_json_if_its_data_is(
    store: BatchStore, pool: asyncpg.Pool
) -> None:
    """So that a person can read and repair it."""
    await store.save([normalized(an_event(count=2**40, value=Decimal("1.5"), reference_id="order-4711"))])

    body = msgspec.json.decode(await pool.fetchval("SELECT body FROM dead_letters"))
    assert body["count"] == 2**40
    assert body["reference_id"] == "order-4711"
    assert body["data"] == {"answer": 42}


async def test_dead_letters_are_kept_byte_by_byte(store: BatchStore, pool: asyncpg.Pool) -> None:
    """Also with headers that no text column can store, and without a known project."""
    letter = a_letter(user_agent="agent\0/\udcff1", project_id=None, organization_id=None, detail="x" * 5000)

    assert await store.save([normalized(dead_letters=[letter])]) == Tally(dead_lettered=1)

    row = await pool.fetchrow("SELECT * FROM dead_letters")
    assert row["body"] == letter.body
    assert row["user_agent"] == "agent\ufffd/\ufffd1"
    assert row["accepted_utc"] == letter.accepted_utc
    assert len(row["detail"]) == 1000
    assert await pool.fetchval("SELECT project_id FROM usage") == NO_PROJECT


async def test_usage_is_counted_under_the_hour_of_acceptance(store: BatchStore, pool: asyncpg.Pool) -> None:
    """Even if the worker stores it days later."""
    accepted = days_ago(2) + timedelta(minutes=59, seconds=59)
    await store.save([normalized(an_event(accepted=accepted))])
    await store.save([normalized(an_event(accepted=accepted))])

    rows = await pool.fetch("SELECT * FROM usage")
    assert [(row["project_id"], row["hour"], row["outcome"], row["events"]) for row in rows] == [
        (PROJECT, days_ago(2), "stored", 2)
    ]


async def test_a_missing_partition_is_made(store: BatchStore, pool: asyncpg.Pool) -> None:
    """A post may be older or newer than all partitions that maintenance has made."""
    events = [an_event(accepted=days_ago(number)) for number in (40, 3, -9)]

    assert await store.save([normalized(*events)]) == Tally(stored=3)
    assert len(await stored(pool)) == 3


@pytest.mark.parametrize(
    "days",
    [
        pytest.param(31, id="older than retention"),
        pytest.param(-3, id="after tomorrow"),  # a midnight may pass until it is stored
        pytest.param(-40_000, id="in a century"),
    ],
)
async def test_no_partition_is_made_for_an_implausible_time(pool: asyncpg.Pool, days: int) -> None:
    """An ingest process with a wrong clock causes dead letters, not partitions; other events are stored."""
    accepted = real_days_ago(days)
    store = BatchStore(pool, retention_days=30)
    wrong = an_event(accepted=accepted, reference_id="order-4711")
    right = an_event(accepted=real_now())

    assert await store.save([normalized(wrong, right)]) == Tally(stored=1, dead_lettered=1)

    letter = await pool.fetchrow("SELECT * FROM dead_letters")
    assert (letter["id"].bytes, letter["reason"]) == (wrong.id, "implausible_time")
    assert letter["accepted_utc"] == accepted
    assert await pool.fetchval("SELECT to_regclass($1)", _partition(accepted)) is None


async def test_within_retention_and_tomorrow_partitions_are_made(pool: asyncpg.Pool) -> None:
    """An event whose partition exists is stored whatever its age."""
    await BatchStore(pool).save([normalized(an_event(accepted=real_days_ago(50)))])
    store = BatchStore(pool, retention_days=30)

    # 29 and not 30: a midnight may pass until they are stored.
    events = [an_event(accepted=real_days_ago(number)) for number in (50, 29, 0, -1)]

    assert await store.save([normalized(*events)]) == Tally(stored=4)


async def test_events_are_copied_into_their_partition_until_a_duplicate_is_found(
    store: BatchStore, pool: asyncpg.Pool
) -> None:
    """Staging begins with the first duplicate and ends with a transaction that has none."""
    first, fresh = normalized(*_referenced(0, 20)), normalized(*_referenced(20, 40))
    mixed = normalized(*_referenced(10, 60))

    assert await store.save([first]) == Tally(stored=20)
    assert await _is_staging_there(pool) is False
    assert await store.save([mixed]) == Tally(stored=40, duplicate=10)
    assert await _is_staging_there(pool) is True
    assert await store.save([fresh]) == Tally(duplicate=20)
    assert await store.save([normalized(*_referenced(60, 80))]) == Tally(stored=20)
    assert store._is_direct


def _referenced(begin: int, end: int) -> list[Event]:
    return [an_event(reference_id=f"reference-{number}") for number in range(begin, end)]


async def _is_staging_there(pool: asyncpg.Pool) -> bool:
    """In any of the pool's sessions."""
    return bool(await pool.fetchval("SELECT EXISTS (SELECT FROM pg_class WHERE relname = 'staging')"))


async def test_repeats_within_a_batch_do_not_need_staging(store: BatchStore, pool: asyncpg.Pool) -> None:
    """They are found before anything is sent."""
    events = [*_referenced(0, 5), *_referenced(0, 5)]

    assert await store.save([normalized(*events)]) == Tally(stored=5, duplicate=5)

    assert [row["id"].bytes for row in await stored(pool)] == [event.id for event in events[:5]]
    assert await _is_staging_there(pool) is False


async def test_a_batch_of_several_days_goes_into_several_partitions(
    store: BatchStore, pool: asyncpg.Pool
) -> None:
    """Also if one of them finds a duplicate."""
    days = [days_ago(number) for number in (3, 2, 1)]
    await store.save([normalized(an_event(accepted=days[1], reference_id="order-4711"))])

    events = [an_event(accepted=day, reference_id="order-4711") for day in days]

    assert await store.save([normalized(*events)]) == Tally(stored=2, duplicate=1)
    assert len(await stored(pool)) == 3


async def test_a_partition_that_was_dropped_is_made_again(store: BatchStore, pool: asyncpg.Pool) -> None:
    """Retention may drop it while the stream stands still. Connections have cached the old partition."""
    accepted = days_ago(40)
    await store.save([normalized(an_event(accepted=accepted, reference_id="order-4711"))])
    name = f"events_{accepted:%Y%m%d}"
    await pool.execute(f"ALTER TABLE events DETACH PARTITION {name}; DROP TABLE {name}")

    again = await store.save([normalized(an_event(accepted=accepted, reference_id="order-4711"))])

    assert again == Tally(stored=1)


async def test_concurrent_workers_with_the_same_batches_store_each_once(
    store: BatchStore, pool: asyncpg.Pool
) -> None:
    """Two workers may hold the same entry: the second one waits and finds a replay."""
    batches = [normalized(*[an_event(reference_id=f"ref-{b}-{n}") for n in range(50)]) for b in range(4)]

    async with asyncio.TaskGroup() as tasks:
        # In opposite orders, so that they would deadlock if nothing were sorted.
        savers = [tasks.create_task(store.save(batches[::step])) for step in (1, -1, 1, -1)]

    tallies = [saver.result() for saver in savers]
    assert sorted(tally.stored for tally in tallies) == [0, 0, 0, 200]
    assert sorted(tally.replayed for tally in tallies) == [0, 4, 4, 4]
    assert len(await stored(pool)) == 200


async def test_concurrent_workers_with_the_same_references_do_not_deadlock(
    store: BatchStore, pool: asyncpg.Pool
) -> None:
    """The batches have them in opposite orders; each reference is stored once."""
    references = [f"reference-{number:04}" for number in range(300)]

    async with asyncio.TaskGroup() as tasks:
        savers = [
            tasks.create_task(store.save([normalized(*[an_event(reference_id=r) for r in order])]))
            for order in (references, references[::-1]) * 3
        ]

    assert sum(saver.result().stored for saver in savers) == 300
    assert sum(saver.result().duplicate for saver in savers) == 1500
    assert len(await stored(pool)) == 300


async def test_a_connection_lost_in_the_transaction_stores_nothing(
    database_url: str, pool: asyncpg.Pool
) -> None:
    """The whole batch can be saved again."""
    batch = normalized(an_event(), an_event())
    small_pool = await create_pool(database_url, max_size=1, application_name="victim")
    try:
        store = BatchStore(small_pool)
        async with pool.acquire() as blocker, blocker.transaction():
            # The batch id is taken but not committed: the saver waits for it, inside its transaction.
            await blocker.execute("INSERT INTO stored_batches (batch_id) VALUES ($1)", batch.id)
            saving = asyncio.create_task(store.save([batch]))
            await _terminate_waiting(pool, "victim")
            with pytest.raises(DatabaseUnavailable):
                await saving
            await blocker.execute("DELETE FROM stored_batches")
        assert await stored(pool) == []
        assert await store.save([batch]) == Tally(stored=2)
    finally:
        await close_pool(small_pool)


async def _terminate_waiting(pool: asyncpg.Pool, application_name: str) -> None:
    """Terminate the connection as soon as it waits for a lock."""

    async def is_killed() -> bool:
        return bool(
            await pool.fetchval(
                "SELECT bool_or(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE application_name = $1 AND wait_event_type = 'Lock'",
                application_name,
            )
        )

    await until(is_killed, what="the saver waits for the batch id")


async def test_the_partition_goes_by_the_utc_day_of_acceptance(store: BatchStore, pool: asyncpg.Pool) -> None:
    """The last millisecond of a UTC day is in that day's partition, the next one in the next."""
    midnight = days_ago(5).replace(hour=0)
    events = [an_event(accepted=midnight - timedelta(milliseconds=1)), an_event(accepted=midnight)]

    await store.save([normalized(*events)])

    rows = await pool.fetch("SELECT tableoid::regclass::text AS partition FROM events ORDER BY id")
    assert [row["partition"] for row in rows] == [
        _partition(midnight - timedelta(days=1)),
        _partition(midnight),
    ]


def _partition(day: datetime) -> str:
    return f"events_{day:%Y%m%d}"


@pytest.mark.parametrize("is_direct", [True, False])
async def test_a_partition_dropped_at_the_last_moment_leads_to_a_retry(
    store: BatchStore, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch, *, is_direct: bool
) -> None:
    """No event becomes a dead letter, and the retry makes the partition again."""
    store._is_direct = is_direct

    async def none_is_missing(*_arguments: object) -> None:
        """The answer just before the partition is dropped."""

    batch = normalized(an_event())
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr("collector.database.writing.store.make_partitions_for", none_is_missing)
        with pytest.raises(DatabaseUnavailable, match="partition"):
            await store.save([batch])

    assert await store.save([batch]) == Tally(stored=1)
    assert await usage(pool) == {("stored", ""): 1}

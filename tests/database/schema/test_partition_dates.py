"""The recorded dates of a partition include those of all its events, however they were written."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from collector.database.audit import read_ledger
from collector.database.errors import DatabaseUnavailable
from collector.database.pool import close_pool, create_pool
from collector.database.schema import partitions
from collector.database.schema.migrations import migrate
from collector.database.schema.partition_dates import id_range, widen_partition_dates
from collector.database.schema.partitions import maintain_partitions, make_missing_partitions
from collector.database.search.event_lists import Selection, count_events, find_events
from collector.database.sessions.upkeep import update_start_events
from collector.database.sessions.user_descriptions import apply_descriptions
from collector.database.writing.store import BatchStore
from collector.domain.dates.datemath import LocalClock
from collector.domain.dates.time_range import TimeRange
from collector.domain.event.outcome import Event, UserDescription
from collector.domain.event.session_key import session_key
from collector.domain.filter.parser import parse_filter
from collector.domain.ids import lowest_id
from tests.conftest import SCALE
from tests.database.rows import ORGANIZATION, PROJECT, an_event, days_ago, normalized, post_id, today

pytestmark = pytest.mark.integration

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


async def recorded(pool: asyncpg.Pool) -> dict[date, tuple[datetime, datetime]]:
    """The dates of each partition that has events."""
    rows = await pool.fetch("SELECT * FROM partition_dates WHERE smallest <= largest")
    return {row["day"]: (row["smallest"], row["largest"]) for row in rows}


async def outside(pool: asyncpg.Pool) -> int:
    """How many events lie outside of the recorded dates, as the audit counts them."""
    ledger = await read_ledger(pool, counts_events=True)
    return sum(ledger.misdated.values())


async def located_ids(pool: asyncpg.Pool, begin: datetime | None, end: datetime) -> tuple[Any, Any]:
    """The range of ids in which events of these dates are searched."""
    async with pool.acquire() as connection:
        return await id_range(connection, TimeRange(begin, end))


async def found(pool: asyncpg.Pool, text: str = "", time: TimeRange | None = None) -> list[bytes]:
    """The ids of the events that a search finds; it must count as many."""
    selection = Selection([PROJECT], parse_filter(text), time or TimeRange(), LocalClock(today()))
    async with pool.acquire() as connection:
        events = [event.id.bytes for event in await find_events(connection, selection, limit=1000)]
        assert await count_events(connection, selection) == len(events)
    return events


def with_user(**members: Any) -> Event:
    """An event that belongs to a session."""
    event_type = members.get("type", "log")
    key = session_key(PROJECT.bytes, event_type, None, None, "user-1")
    return an_event(data=b'{"@user": {"identity": "user-1"}}', session_key=key, **members)


async def test_a_partitions_dates_are_those_of_its_events_in_whole_hours(pool: asyncpg.Pool) -> None:
    """Rounded outwards, so that a day's events change them at most once an hour."""
    moment = days_ago(2).replace(minute=20)
    store = BatchStore(pool)

    await store.save([normalized(an_event(accepted=days_ago(1), date=moment))])
    before = await recorded(pool)
    await store.save([normalized(an_event(accepted=days_ago(1), date=moment + timedelta(minutes=30)))])

    assert before == {days_ago(1).date(): (days_ago(2), days_ago(2) + HOUR)}
    assert await recorded(pool) == before


async def test_a_late_event_widens_its_partition_alone(pool: asyncpg.Pool) -> None:
    """A batch of several days widens each of their partitions."""
    late = an_event(accepted=days_ago(1), date=days_ago(50))
    events = [an_event(accepted=days_ago(age), date=days_ago(age)) for age in (0, 1, 2)]

    await BatchStore(pool).save([normalized(late, *events)])

    assert {day: dates[0] for day, dates in (await recorded(pool)).items()} == {
        days_ago(0).date(): days_ago(0),
        days_ago(1).date(): days_ago(50),
        days_ago(2).date(): days_ago(2),
    }


@pytest.mark.parametrize(
    "date_",
    [
        pytest.param(datetime(1, 1, 1, tzinfo=UTC), id="the first moment"),
        pytest.param(datetime(1, 1, 1, 0, 0, 0, 1, tzinfo=UTC), id="the one after it"),
        pytest.param(datetime(1969, 12, 31, 23, 59, tzinfo=UTC), id="before any acceptance"),
        pytest.param(datetime(9999, 12, 31, 23, 59, 59, 999_998, tzinfo=UTC), id="the last moments"),
    ],
)
async def test_dates_at_the_edges_of_the_calendar_are_recorded(pool: asyncpg.Pool, date_: datetime) -> None:
    """A filter for the date finds the event."""
    event = an_event(date=date_)
    await BatchStore(pool).save([normalized(event)])

    assert await found(pool, f'date:"{date_.isoformat()}"'.replace("+00:00", "Z")) == [event.id]
    assert await outside(pool) == 0


async def test_every_way_of_writing_an_event_keeps_the_dates_right(pool: asyncpg.Pool) -> None:
    """Copied, staged, across midnight, derived, repeated, updated later, described."""
    store = BatchStore(pool)
    midnight = today().replace(hour=0) - 2 * DAY
    straight = [with_user(accepted=days_ago(1), date=days_ago(9) + n * HOUR) for n in range(5)]
    first = an_event(accepted=midnight - HOUR / 4, date=midnight - 3 * DAY, reference_id="order-4711")
    repeated = an_event(accepted=midnight + HOUR / 4, date=midnight - 5 * DAY, reference_id="order-4711")
    described = an_event(accepted=days_ago(1), date=days_ago(7), reference_id="order-4712")
    again = [
        described,
        an_event(accepted=days_ago(1), date=days_ago(30), reference_id="order-4712"),
        an_event(accepted=days_ago(1), date=days_ago(20), message="\0 is rejected"),
    ]
    description = UserDescription(
        post_id(), PROJECT.bytes, ORGANIZATION.bytes, "order-4712", b'{"description": "slow"}'
    )

    await store.save([normalized(*straight)])
    await store.save([normalized(first)])
    await store.save([normalized(repeated)])
    await store.save([normalized(*again, *[an_event(date=days_ago(n)) for n in range(20)])])
    await store.save([normalized(*[an_event(date=days_ago(n)) for n in range(20)])])
    await store.save([normalized(with_user(accepted=days_ago(1), date=days_ago(9) - HOUR / 5))])
    await store.save([normalized(descriptions=[description])])
    # The first look-ups search only the latest partitions by Postgres's clock.
    await pool.execute("UPDATE user_descriptions SET tries = 10")
    applied = await apply_descriptions(pool, 10)
    await pool.execute("UPDATE sessions SET due_utc = now()")
    updated = await update_start_events(pool, 100)

    assert applied.applied == 1
    assert updated
    assert await pool.fetchval("SELECT count(*) FROM events WHERE type = 'session'") > 1
    assert await pool.fetchval("SELECT count(*) FROM dead_letters") == 1
    assert await outside(pool) == 0


async def test_the_audit_reports_events_outside_of_the_recorded_dates(pool: asyncpg.Pool) -> None:
    """The invariant is checked, not assumed."""
    await BatchStore(pool).save([normalized(an_event(accepted=days_ago(1), date=days_ago(1)), an_event())])
    await pool.execute(
        "UPDATE partition_dates SET largest = smallest - interval '1 day' WHERE day < $1", today()
    )
    await pool.execute("DELETE FROM partition_dates WHERE day >= $1", today())

    assert await outside(pool) == 2


@pytest.mark.parametrize("seed", range(4 * SCALE))
async def test_leaving_out_partitions_leaves_out_no_event(pool: asyncpg.Pool, seed: int) -> None:
    """For random events and random ranges, by time or by filter, the right events are found."""
    random = Random(seed)  # noqa: S311 - the same events in every run
    events = [
        an_event(accepted=days_ago(age), date=days_ago(age + random.choice((0, 0, 1, random.randrange(90)))))
        for age in (random.randrange(60) for _ in range(30))
    ]
    await BatchStore(pool).save([normalized(*events)])
    ages = [random.randrange(-2, 160) for _ in range(24)]

    for newer, older in zip(ages[::2], ages[1::2], strict=True):
        begin, end = days_ago(max(newer, older)), days_ago(min(newer, older)) + HOUR
        expected = sorted(event.id for event in events if begin <= event.date < end)
        written = f"{begin:%Y-%m-%dT%H:%M:%SZ} TO {end:%Y-%m-%dT%H:%M:%SZ}"
        assert sorted(await found(pool, time=TimeRange(begin, end))) == expected
        assert sorted(await found(pool, f"date:[{written}}}")) == expected
        assert sorted(await found(pool, f"type:log (date:[{written}}} OR date:[{written}}})")) == expected


async def test_only_partitions_with_the_dates_in_question_are_searched(pool: asyncpg.Pool) -> None:
    """Old dates are in old partitions, except those of late events."""
    events = [an_event(accepted=days_ago(age), date=days_ago(age)) for age in (400, 395, 390, 10, 0)]
    late = an_event(accepted=days_ago(394), date=days_ago(399))
    await BatchStore(pool).save([normalized(*events, late)])

    assert await located_ids(pool, days_ago(400), days_ago(394)) == ids_of(days_ago(400), days_ago(394))
    assert await located_ids(pool, days_ago(399), days_ago(398)) == ids_of(days_ago(394), days_ago(394))
    assert await located_ids(pool, None, days_ago(396)) == ids_of(days_ago(400), days_ago(394))
    assert await located_ids(pool, days_ago(300), days_ago(20)) == (UUID(int=0), UUID(int=0))


def ids_of(first: datetime, last: datetime) -> tuple[UUID, UUID]:
    """The range of all ids from the first to the last day."""
    begin, end = (moment.replace(hour=0) for moment in (first, last + DAY))
    return lowest_id(begin), lowest_id(end)


async def test_a_search_while_events_are_stored_misses_none_that_is_committed(pool: asyncpg.Pool) -> None:
    """Every worker widens the dates before it stores the events, so a count never goes down."""
    time = TimeRange(days_ago(40), days_ago(10) + HOUR)
    counts = []

    async def store(worker: int) -> None:
        for number in range(10):
            dates = [days_ago(10 + (worker * 7 + number * 3) % 30)] * 3
            accepted = days_ago(number % 4)
            await BatchStore(pool).save(
                [normalized(*[an_event(accepted=accepted, date=date_) for date_ in dates])]
            )

    async with asyncio.TaskGroup() as tasks:
        storing = [tasks.create_task(store(worker)) for worker in range(3)]
        while not all(each.done() for each in storing):
            stored = await pool.fetchval("SELECT count(*) FROM events")
            seen = await found_number(pool, time)
            assert seen >= stored
            counts.append(seen)

    assert counts == sorted(counts)
    assert await found_number(pool, time) == 90
    assert await outside(pool) == 0


async def found_number(pool: asyncpg.Pool, time: TimeRange) -> int:
    """How many events are counted between these dates."""
    selection = Selection([PROJECT], parse_filter(""), time, LocalClock(today()))
    async with pool.acquire() as connection:
        return await count_events(connection, selection)


async def test_dates_are_widened_before_anything_is_stored(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that dies while it stores has widened them for nothing, which does no harm."""
    event, time = an_event(accepted=days_ago(0), date=days_ago(5)), TimeRange(days_ago(6), days_ago(4))

    async def die(*_: object) -> None:
        raise ConnectionAbortedError

    with monkeypatch.context() as dying:
        dying.setattr("collector.database.writing.store.count_processed", die)
        with pytest.raises(DatabaseUnavailable):
            await BatchStore(pool).save([normalized(event)])

    assert await recorded(pool) == {days_ago(0).date(): (days_ago(5), days_ago(5) + HOUR)}
    assert await found(pool, time=time) == []
    await BatchStore(pool).save([normalized(event)])
    assert await found(pool, time=time) == [event.id]


async def test_a_partition_that_is_dropped_and_made_again_has_the_right_dates(pool: asyncpg.Pool) -> None:
    """Also if a worker widened its dates before the drop; a later drop deletes them."""
    old, older, event = days_ago(41), days_ago(42), an_event(accepted=days_ago(42), date=days_ago(70))
    async with pool.acquire() as connection:
        await make_missing_partitions(connection, [older.date(), old.date()])
        await maintain_partitions(pool, 30, 0)
        await widen_partition_dates(connection, {older.date(): [event]})
        assert (await maintain_partitions(pool, 30, 0)).dropped == older.date()
        await make_missing_partitions(connection, [older.date()])

    assert await recorded(pool) == {older.date(): (days_ago(70), days_ago(70) + HOUR)}
    assert (await maintain_partitions(pool, 30, 0)).dropped == older.date()
    assert (await maintain_partitions(pool, 30, 0)).dropped == old.date()
    assert await recorded(pool) == {}


async def test_a_drop_keeps_the_dates_of_existing_partitions(pool: asyncpg.Pool) -> None:
    """Another worker may make an older one while this one is being dropped."""
    expired, older = days_ago(41).date(), days_ago(50).date()
    async with pool.acquire() as connection:
        await make_missing_partitions(connection, [expired, older])
        await widen_partition_dates(connection, {older: [an_event(date=days_ago(50))]})

    await partitions._drop(pool, expired)

    assert await recorded(pool) == {older: (days_ago(50), days_ago(50) + HOUR)}


async def test_partitions_from_before_the_migration_have_all_dates(empty_database_url: str) -> None:
    """What they hold is unknown, so they are always searched."""
    await migrate(empty_database_url)
    pool = await create_pool(empty_database_url, max_size=1)
    try:
        async with pool.acquire() as connection:
            await make_missing_partitions(connection, [date(2026, 1, 5)])
            await connection.execute(
                "DROP TABLE partition_dates; DELETE FROM schema_migrations WHERE name ~ '^0010'"
            )
            await migrate(empty_database_url)
            await connection.execute("ALTER TABLE leaf_dates RENAME TO partition_dates")

        ids = ids_of(datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 1, 5, tzinfo=UTC))
        assert await located_ids(pool, None, datetime(1, 1, 2, tzinfo=UTC)) == ids
        assert (
            await located_ids(pool, datetime(2030, 1, 1, tzinfo=UTC), datetime(2031, 1, 1, tzinfo=UTC)) == ids
        )
    finally:
        await close_pool(pool)

"""Rollups say what the events say, whatever happens to them."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.database.owners.deletion import delete_projects
from collector.database.owners.organizations import add_organization
from collector.database.owners.projects import add_project
from collector.database.owners.purge import purge_deleted
from collector.database.owners.removals import ask_for_removal, remove_asked
from collector.database.schema.partitions import maintain_partitions
from collector.database.schema.rollup_changes import fold_changes, lock_days
from collector.database.schema.rollups import count_differences, make_rollups
from collector.database.search.event_lists import Selection, count_events
from collector.database.search.event_removal import remove_events
from collector.database.search.stack_lists import count_users
from collector.database.writing.store import BatchStore
from collector.domain.accounting.user_sketch import UserSketch
from collector.domain.dates.datemath import LocalClock
from collector.domain.dates.time_range import TimeRange
from collector.domain.filter.parser import parse_filter
from tests.conftest import SCALE
from tests.database.histories import STEPS, History, age_outdated
from tests.database.rows import ORGANIZATION, OTHER_PROJECT, PROJECT, an_event, days_ago, normalized, today
from tests.support.waiting import until

pytestmark = pytest.mark.integration

DAY = today().date()


def reference(rows: Sequence[Any]) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """The rollups of these events by hour, computed one event at a time."""
    groups: dict[tuple[Any, ...], list[Any]] = {}
    for row in rows:
        hour = row["date"].replace(minute=0, second=0, microsecond=0)
        accepted = date(1970, 1, 1) + timedelta(days=(row["id"].int >> 80) // 86_400_000)
        key = accepted, row["project_id"], row["stack_id"], row["type"], row["is_first_occurrence"], hour
        groups.setdefault(key, []).append(row)
    return {
        key: (
            len(events),
            sum(event["count"] is not None for event in events),
            sum(event["count"] or 0 for event in events),
            min(event["date"] for event in events),
            max(event["date"] for event in events),
        )
        for key, events in groups.items()
    }


async def rolled_up(pool: asyncpg.Pool, table: str = "event_hours") -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """What a table of rollups says, once changes are folded in."""
    await fold_changes(pool)
    rows = await pool.fetch(f"SELECT * FROM {table}")  # noqa: S608 - one of two tables
    return {tuple(row[:6]): tuple(row[6:]) for row in rows}


async def differences(pool: asyncpg.Pool) -> dict[date, int | None]:
    """What the audit finds in each day of acceptance that has events."""
    async with pool.acquire() as connection:
        days = [row["day"] for row in await connection.fetch("SELECT day FROM partition_dates ORDER BY day")]
        return {day: await count_differences(connection, day) for day in days}


async def agree(pool: asyncpg.Pool) -> bool:
    """Whether rollups and events agree, also before changes are folded in."""
    if any((await differences(pool)).values()):
        return False
    return await rolled_up(pool) == reference(await pool.fetch("SELECT * FROM events")) and not any(
        (await differences(pool)).values()
    )


@settings(max_examples=25 * SCALE, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 1 << 32), steps=STEPS)
async def test_after_any_history_the_rollups_say_what_the_events_say(
    pool: asyncpg.Pool, seed: int, steps: list[str]
) -> None:
    history = History(pool, seed)
    await history.begin()
    await history.happen(steps)
    assert not any((await differences(pool)).values())

    await history.roll_up()

    assert await agree(pool)
    events = await pool.fetchval("SELECT count(*) FROM events")
    assert sum(row[0] for row in (await rolled_up(pool, "event_days")).values()) == events


async def test_a_transaction_that_fails_leaves_no_counts(pool: asyncpg.Pool) -> None:
    await BatchStore(pool).save([normalized(an_event())])
    await pool.execute("ALTER TABLE processed ADD CHECK (batches < 2)")

    with pytest.raises(asyncpg.CheckViolationError):
        await BatchStore(pool).save([normalized(an_event())])

    assert await agree(pool)


async def test_the_next_event_of_a_new_stack_is_counted_as_its_first_if_the_first_one_is_not_stored(
    pool: asyncpg.Pool,
) -> None:
    await BatchStore(pool).save([normalized(an_event(reference_id="a-reference", source="other"))])
    first, second = an_event(reference_id="a-reference"), an_event()

    await BatchStore(pool).save([normalized(first, second)])

    assert await agree(pool)
    assert [key[4] for key in await rolled_up(pool)] == [True, True]


async def test_workers_that_store_at_the_same_time_count_every_event(pool: asyncpg.Pool) -> None:
    stores = [BatchStore(pool) for _ in range(4)]
    sources = "abcdefgh"

    async def work(store: BatchStore, seed: int) -> None:
        random_ = random.Random(seed)  # noqa: S311
        for _ in range(5):
            events = [an_event(source=random_.choice(sources), place=place) for place in range(20)]
            await store.save([normalized(*events)])
            async with pool.acquire() as connection:
                await remove_events(connection, [PROJECT], [UUID(bytes=events[random_.randrange(20)].id)])

    await asyncio.gather(*(work(store, seed) for seed, store in enumerate(stores)))

    assert await agree(pool)
    assert sum(row[0] for row in (await rolled_up(pool)).values()) == 4 * 5 * 19


async def test_a_late_event_is_counted_while_a_days_rollups_are_made(pool: asyncpg.Pool) -> None:
    """Storing does not wait for it; folding leaves the day alone meanwhile."""
    yesterday = days_ago(1)
    await BatchStore(pool).save([normalized(an_event(accepted=yesterday))])
    async with pool.acquire() as connection, connection.transaction():
        await lock_days(connection, [yesterday.date()])
        making = asyncio.create_task(make_rollups(pool))
        await until(lambda: pool.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"))
        await BatchStore(pool).save([normalized(an_event(accepted=yesterday, place=1))])
    await making
    await BatchStore(pool).save([normalized(an_event(accepted=yesterday, place=2))])
    async with pool.acquire() as connection, connection.transaction():
        await lock_days(connection, [yesterday.date()], exclusively=True)
        assert await fold_changes(pool) == 0

    assert await agree(pool)
    await age_outdated(pool)
    await make_rollups(pool)
    assert sum(row[0] for row in (await rolled_up(pool, "event_days")).values()) == 3
    assert await agree(pool)


async def test_changes_that_are_not_folded_yet_are_counted_in_days_that_were_complete(
    pool: asyncpg.Pool,
) -> None:
    yesterday = days_ago(1)
    user = b'{"@user":{"identity":"user %d"}}'

    async def counts(place: int) -> tuple[int, int]:
        event = an_event(accepted=yesterday, place=place, data=user % place)
        await BatchStore(pool).save([normalized(event)])
        selection = Selection([PROJECT], parse_filter(""), TimeRange(), LocalClock(today()))
        async with pool.acquire() as connection:
            return await count_events(connection, selection), await count_users(connection, selection)

    assert await counts(0) == (1, 1)
    await fold_changes(pool)
    await make_rollups(pool)
    assert await complete_days(pool) == {yesterday.date()}

    assert await counts(1) == (2, 2)
    await fold_changes(pool)

    assert await complete_days(pool) == set()
    assert await counts(2) == (3, 3)


async def test_folds_at_the_same_time_count_each_change_once(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In several statements, because there are more changes than one takes."""
    monkeypatch.setattr("collector.database.schema.rollup_changes._MOST_CHANGES", 3)
    for _ in range(4):
        events = [an_event(source="ab"[place % 2], place=place, count=place) for place in range(6)]
        await BatchStore(pool).save([normalized(*events)])

    assert sum(await asyncio.gather(*(fold_changes(pool) for _ in range(3)))) == 5

    assert await pool.fetchval("SELECT count(*) FROM event_hour_changes") == 0
    assert await pool.fetchval("SELECT sum(events)::int FROM event_hours") == 24
    assert await agree(pool)


async def test_a_day_that_is_not_over_is_left_alone_by_the_job(pool: asyncpg.Pool) -> None:
    """It does not even take the lock, for which it would wait here, and storing with it."""
    now: datetime = await pool.fetchval("SELECT now()")
    await BatchStore(pool).save([normalized(an_event(accepted=now))])
    async with pool.acquire() as connection, connection.transaction():
        await lock_days(connection, [now.date()])

        assert await asyncio.wait_for(make_rollups(pool), 30) == 0


async def test_a_day_that_changes_again_and_again_is_made_every_ten_minutes(pool: asyncpg.Pool) -> None:
    async def state() -> tuple[bool, bool]:
        await BatchStore(pool).save([normalized(an_event(accepted=days_ago(1)))])
        await fold_changes(pool)
        await make_rollups(pool)
        row = await pool.fetchrow(
            "SELECT has_days, has_users FROM rollup_days WHERE day = $1", days_ago(1).date()
        )
        return row["has_days"], row["has_users"]

    assert await state() == (True, True)
    assert [await state(), await state()] == [(False, False)] * 2

    await age_outdated(pool)
    await make_rollups(pool)

    assert await agree(pool)
    assert sum(row[0] for row in (await rolled_up(pool, "event_days")).values()) == 3


@pytest.mark.parametrize("table", ["event_hours", "event_days", "user_hours"])
async def test_a_day_that_fails_keeps_no_other_day_from_being_made(pool: asyncpg.Pool, table: str) -> None:
    """It is tried again after a while."""
    user = b'{"@user":{"identity":"someone"}}'
    for number in (1, 2):
        await BatchStore(pool).save([normalized(an_event(accepted=days_ago(number), data=user))])
    await pool.execute("DELETE FROM rollup_days")
    yesterday = days_ago(1).date()
    await pool.execute(f"ALTER TABLE {table} ADD CONSTRAINT fails CHECK (day <> '{yesterday}') NOT VALID")

    with pytest.raises(ExceptionGroup, match=str(yesterday)):
        await make_rollups(pool)
    assert await complete_days(pool) == {days_ago(2).date()}
    assert await make_rollups(pool) == 0

    await pool.execute(f"ALTER TABLE {table} DROP CONSTRAINT fails")
    await age_outdated(pool)
    await make_rollups(pool)
    assert await complete_days(pool) == {days_ago(2).date(), yesterday}


async def test_a_day_that_takes_too_long_keeps_no_other_day_from_being_made(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collector.database.schema.rollups._BUILD_SECONDS", 3.0)
    for number in (1, 2):
        await BatchStore(pool).save([normalized(an_event(accepted=days_ago(number)))])
    async with pool.acquire() as connection, connection.transaction():
        await lock_days(connection, [days_ago(1).date()])

        with pytest.raises(ExceptionGroup, match="TimeoutError"):
            await make_rollups(pool)

    assert await complete_days(pool) == {days_ago(2).date()}


async def complete_days(pool: asyncpg.Pool) -> set[date]:
    """The days that have all rollups."""
    rows = await pool.fetch("SELECT day FROM rollup_days WHERE has_hours AND has_days AND has_users")
    return {row["day"] for row in rows}


async def test_the_users_of_each_project_are_counted(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With few sketches in memory, and few rows read together."""
    monkeypatch.setattr("collector.database.schema.rollups._SKETCHES", 2)
    monkeypatch.setattr("collector.database.schema.rollups._ROWS_READ", 1)
    events = [
        an_event(
            accepted=days_ago(1),
            place=number,
            project_id=(PROJECT, OTHER_PROJECT)[number % 2],
            source="abc"[number % 3],
            data=b'{"@user":{"identity":"user %d"}}' % number,
        )
        for number in range(12)
    ]
    await BatchStore(pool).save([normalized(*events)])

    await make_rollups(pool)

    sketches = await pool.fetch("SELECT project_id, sketch FROM user_hours")
    assert {row["project_id"]: UserSketch().merge(row["sketch"]).count for row in sketches} == {
        PROJECT: 6,
        OTHER_PROJECT: 6,
    }
    assert [row["users"] for row in await pool.fetch("SELECT users FROM stack_user_days")] == [2] * 6


async def test_partitions_from_before_rollups_get_theirs(pool: asyncpg.Pool) -> None:
    for number in range(3):
        await BatchStore(pool).save([normalized(an_event(accepted=days_ago(number)))])
    await pool.execute("TRUNCATE event_hours, event_days, rollup_days")

    assert set((await differences(pool)).values()) == {None}
    assert await make_rollups(pool) >= 3
    assert await agree(pool)
    assert set((await differences(pool)).values()) == {0}
    assert await make_rollups(pool) == 0


async def test_the_audit_notices_a_wrong_count(pool: asyncpg.Pool) -> None:
    await BatchStore(pool).save([normalized(an_event())])
    await fold_changes(pool)
    await pool.execute("UPDATE event_hours SET events = events + 1")

    assert (await differences(pool))[DAY] == 2


async def test_rollups_of_events_without_a_stack_follow_deletions(pool: asyncpg.Pool) -> None:
    """Such events are from before there were stacks. The earliest and the latest of an hour are deleted."""
    events = [an_event(date=today() + timedelta(minutes=minutes)) for minutes in (1, 2, 3)]
    await BatchStore(pool).save([normalized(*events)])
    await pool.execute("UPDATE events SET stack_id = NULL")
    await pool.execute("DELETE FROM rollup_days")
    await make_rollups(pool)

    async with pool.acquire() as connection:
        await remove_events(connection, [PROJECT], [UUID(bytes=events[0].id), UUID(bytes=events[2].id)])

    assert [row["latest"] for row in await pool.fetch("SELECT latest FROM event_hours")] == [events[1].date]
    assert not any((await differences(pool)).values())


async def test_a_purged_project_leaves_no_rollups(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as connection:
        await add_organization(connection, ORGANIZATION, "Shop")
        await add_project(connection, PROJECT, ORGANIZATION, "Shop")
    await BatchStore(pool).save([normalized(an_event(), an_event(project_id=OTHER_PROJECT))])
    async with pool.acquire() as connection:
        await delete_projects(connection, [PROJECT])

    await purge_deleted(pool)

    assert {key[1] for key in await rolled_up(pool)} == {OTHER_PROJECT}
    assert await agree(pool)


async def test_a_stack_that_is_removed_on_request_leaves_no_rollups(pool: asyncpg.Pool) -> None:
    events = [an_event(source="a"), an_event(source="b")]
    await BatchStore(pool).save([normalized(*events)])
    gone, left = (UUID(bytes=event.stack.id) for event in events)
    async with pool.acquire() as connection:
        await ask_for_removal(connection, [(PROJECT, gone)], today() + timedelta(minutes=1))

    await remove_asked(pool)

    assert {key[2] for key in await rolled_up(pool)} == {left}
    assert await agree(pool)


async def test_rollups_are_dropped_with_their_partition(pool: asyncpg.Pool) -> None:
    now: datetime = await pool.fetchval("SELECT now()")
    await BatchStore(pool).save(
        [normalized(an_event(accepted=now - timedelta(days=40)), an_event(accepted=now))]
    )
    await make_rollups(pool)

    await maintain_partitions(pool, 30, 0)
    changes = await maintain_partitions(pool, 30, 0)

    assert changes.dropped == (now - timedelta(days=40)).date()
    assert Counter(key[0] for key in await rolled_up(pool)) == {now.date(): 1}
    assert await agree(pool)

"""What rollups answer is what the reference finds in the events, after any history."""

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.database.schema.rollups import make_rollups
from collector.database.search.event_counts import count_in_buckets
from collector.database.search.event_lists import Selection, count_events, to_count
from collector.database.search.stack_lists import (
    StackMode,
    count_stacks_of_events,
    count_users,
    find_stacks_of_events,
)
from collector.database.search.stack_selection import find_matching_stacks
from collector.database.writing.store import BatchStore
from collector.domain.dates.datemath import LocalClock
from collector.domain.dates.time_range import TimeRange
from collector.domain.filter.aggregation import parse_aggregations
from collector.domain.filter.parser import parse_filter
from tests.conftest import SCALE
from tests.database.filter_reference import holds
from tests.database.histories import STEPS, History
from tests.database.rows import OTHER_PROJECT, PROJECT, an_event, days_ago, normalized, today

pytestmark = pytest.mark.integration

FILTERS = (
    "", "type:log", "-type:error", "status:open", "status:discarded OR type:usage", "first:true", "title:a",
    "-first:true", "type:log OR type:usage",
    "type:log status:open first:false", "is_fixed:false", "_exists_:stack", "type:l*",
    "date:[2026-11-22 TO 2026-11-23]", "type:log date:>2026-11-21T10:30",
    f"project:{PROJECT.hex}", "nosuchfield:1",
)  # fmt: skip
AGGREGATIONS = (
    "date:(date~1d cardinality:stack sum:count~1 avg:count min:date max:date)",
    "date:(date~1h^-5h terms:(type cardinality:stack))",
    "terms:(first @include:true) terms:status terms:(type~2 -sum:count~2 date:date~1w)",
    "cardinality:stack cardinality:type sum:count avg:count~0 date:(date~1M terms:project)",
    "date:(date~1d cardinality:user avg:value) terms:(stack~100 @min:2 max:date)",
    "date:date~6h date:date~30m terms:tags",
    "date:(date~1d cardinality:user sum:count~1) cardinality:user",
    "date:(date~6h cardinality:user) terms:(type cardinality:user)",
)
CLOCK = LocalClock(today())


def ranges(random_: random.Random) -> Iterator[TimeRange]:
    """Time ranges that begin or end anywhere, within an hour or at its edge."""
    yield TimeRange()
    for _ in range(3):
        moments = [
            today() - timedelta(minutes=random_.choice([0, 30, 60, 1]) * random_.randrange(120))
            for _ in range(2)
        ]
        begin, end = sorted(moments)
        yield TimeRange(random_.choice([None, begin]), random_.choice([None, end]))


def matching(events: Sequence[Any], stacks: dict[UUID, Any], selection: Selection) -> list[Any]:
    """The events of a selection, by the reference."""
    begin, end = selection.time.begin, selection.time.end
    return [
        event
        for event in events
        if event["project_id"] in selection.project_ids
        and (begin is None or event["date"] >= begin)
        and (end is None or event["date"] < end)
        and holds(selection.filter, event, stacks.get(event["stack_id"]), CLOCK)
    ]


@settings(max_examples=15 * SCALE, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 1 << 32), steps=STEPS)
async def test_counts_from_rollups_are_those_of_the_reference(
    pool: asyncpg.Pool, seed: int, steps: list[str]
) -> None:
    history, random_ = History(pool, seed), random.Random(seed)  # noqa: S311
    await history.begin()
    await history.happen(steps)
    events = [dict(row) | {"data": {}} for row in await pool.fetch("SELECT * FROM events")]
    stacks = {row["id"]: dict(row) for row in await pool.fetch("SELECT * FROM stacks")}
    async with pool.acquire() as connection:
        for time in ranges(random_):
            selection = Selection(
                random_.choice([[PROJECT], [PROJECT, OTHER_PROJECT], []]),
                parse_filter(random_.choice(FILTERS)), time, CLOCK,
            )  # fmt: skip
            found = matching(events, stacks, selection)
            text = "date:(date~1d sum:count~1 cardinality:stack) cardinality:stack cardinality:type"
            text += " sum:count~1 max:date"
            whole = await count_in_buckets(connection, selection, parse_aggregations(text))

            assert whole.total == len(found) == await count_events(connection, selection)
            assert whole.values["cardinality_stack"] == len({event["stack_id"] for event in found})
            assert whole.values["cardinality_type"] == len({event["type"] for event in found})
            assert (whole.values["sum_count"] or 0) == sum(event["count"] or 1 for event in found)
            assert whole.values["max_date"] == max((event["date"] for event in found), default=None)
            for bucket in whole.buckets["date_date"]:
                inside = [
                    event for event in found if bucket.key <= event["date"] < bucket.key + timedelta(days=1)
                ]
                assert bucket.total == len(inside)
                assert (bucket.values["sum_count"] or 0) == sum(event["count"] or 1 for event in inside)
                assert bucket.values["cardinality_stack"] == len({event["stack_id"] for event in inside})
            assert sum(bucket.total for bucket in whole.buckets["date_date"]) == len(found)

            mode = random_.choice(list(StackMode))
            chosen = found
            if mode is StackMode.NEW and time.begin is not None:
                chosen = [
                    event for event in found if stacks[event["stack_id"]]["first_occurrence"] >= time.begin
                ]
            listed = await find_stacks_of_events(connection, selection, mode, limit=100, offset=0)
            by_stack = {
                id_: [e for e in chosen if e["stack_id"] == id_] for id_ in {e["stack_id"] for e in chosen}
            }
            assert {each.stack.id: (each.total, each.first, each.last) for each in listed} == {
                id_: (
                    sum(event["count"] or 1 for event in of_stack),
                    min(event["date"] for event in of_stack),
                    max(event["date"] for event in of_stack),
                )
                for id_, of_stack in by_stack.items()
            }
            assert await count_stacks_of_events(connection, selection, mode) == len(by_stack)

            matching_stacks = await find_matching_stacks(connection, selection)
            assert list(matching_stacks.ids) == sorted({event["stack_id"] for event in found})
            assert matching_stacks.events == sum(event["count"] or 1 for event in found)


@settings(max_examples=15 * SCALE, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 1 << 32), steps=STEPS)
async def test_aggregations_have_the_same_result_with_and_without_rollups(
    pool: asyncpg.Pool, seed: int, steps: list[str]
) -> None:
    history, random_ = History(pool, seed), random.Random(seed)  # noqa: S311
    await history.begin()
    await history.happen(steps)
    questions = [
        (
            Selection([PROJECT, OTHER_PROJECT], parse_filter(random_.choice(FILTERS)), time, CLOCK),
            parse_aggregations(random_.choice(AGGREGATIONS)),
        )
        for time in ranges(random_)
        for _ in range(3)
    ]
    async with pool.acquire() as connection:

        async def answers() -> list[Any]:
            return [
                (
                    await count_in_buckets(connection, selection, aggregations),
                    await count_users(connection, selection),
                    [
                        await find_stacks_of_events(connection, selection, mode, limit=3, offset=1)
                        for mode in StackMode
                    ],
                )
                for selection, aggregations in questions
            ]

        rolled = await answers()
        await connection.execute("DELETE FROM rollup_days")
        assert rolled == await answers()


@pytest.mark.parametrize(
    ("text", "is_rolled"),
    [
        ("", True),
        ("status:open", True),
        ("date:>now-2d", True),
        ("-date:>now-2d", False),
        ("word", False),
        ("tag:a", False),
    ],
)
async def test_only_what_rollups_know_is_answered_by_them(
    pool: asyncpg.Pool,
    text: str,
    is_rolled: bool,  # noqa: FBT001
) -> None:
    await BatchStore(pool).save([normalized(an_event(accepted=days_ago(1)))])
    async with pool.acquire() as connection:
        selection = await to_count(connection, Selection([PROJECT], parse_filter(text), TimeRange(), CLOCK))

    assert (selection.rollups is not None) is is_rolled


@pytest.mark.parametrize(
    "time",
    [
        TimeRange(today(), today() + timedelta(minutes=50)),
        TimeRange(datetime.min.replace(tzinfo=UTC), None),
        TimeRange(None, datetime.max.replace(tzinfo=UTC)),
        TimeRange(today(), today()),
    ],
)
async def test_any_time_range_is_counted(pool: asyncpg.Pool, time: TimeRange) -> None:
    await BatchStore(pool).save([normalized(an_event(), an_event(date=today() - timedelta(days=900)))])
    dates = [row["date"] for row in await pool.fetch("SELECT date FROM events")]
    async with pool.acquire() as connection:
        number = await count_events(connection, Selection([PROJECT], parse_filter(""), time, CLOCK))

    assert number == sum(
        (time.begin is None or date >= time.begin) and (time.end is None or date < time.end) for date in dates
    )


async def test_users_are_counted_once_however_few_sketches_are_read_together(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collector.database.search.user_counts._SKETCHES_READ", 1)
    events = [
        an_event(
            accepted=days_ago(1 + number % 2),
            place=number,
            type=("log", "error")[number % 2],
            data=b'{"@user":{"identity":"user %d"}}' % (number % 5),
        )
        for number in range(12)
    ]
    await BatchStore(pool).save([normalized(*events)])
    await make_rollups(pool)
    assert await pool.fetchval("SELECT count(*) FROM user_hours") == 2

    async with pool.acquire() as connection:
        assert await count_users(connection, Selection([PROJECT], parse_filter(""), TimeRange(), CLOCK)) == 5


async def test_all_stacks_that_match_are_found_without_reading_the_events(pool: asyncpg.Pool) -> None:
    events = [an_event(source=source, count=count) for source, count in (("a", 3), ("b", None), ("b", None))]
    await BatchStore(pool).save([normalized(*events)])
    await pool.execute("TRUNCATE events")

    async with pool.acquire() as connection:
        found = await find_matching_stacks(
            connection, Selection([PROJECT], parse_filter("status:open"), TimeRange(), CLOCK)
        )

    assert found.ids == sorted({UUID(bytes=event.stack.id) for event in events})
    assert found.events == 5

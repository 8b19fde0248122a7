"""Lists of events are complete, without repeats and in order, while other events are stored."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from collector.database.search.event_lists import (
    Selection,
    StackPlan,
    _plan,
    bounded,
    count_events,
    estimate_events,
    exact_or_sampled,
    find_events,
    find_page,
    where,
)
from collector.database.search.filter_sql import Arguments
from collector.database.writing.store import BatchStore
from collector.domain.dates.datemath import LocalClock
from collector.domain.dates.time_range import TimeRange
from collector.domain.event.outcome import Event
from collector.domain.filter.parser import parse_filter
from collector.domain.filter.sorting import NEWEST_FIRST, Cursor, Order, parse_order
from tests.conftest import SCALE
from tests.database.rows import OTHER_PROJECT, PROJECT, an_event, days_ago, normalized, today

pytestmark = pytest.mark.integration


def a_selection(text: str = "", **members: Any) -> Selection:
    """Events of both projects that match the filter."""
    values: dict[str, Any] = {
        "project_ids": [PROJECT, OTHER_PROJECT],
        "filter": parse_filter(text),
        "time": TimeRange(),
        "clock": LocalClock(today()),
    }
    return Selection(**(values | members))


async def found(
    pool: asyncpg.Pool, selection: Selection, order: Order = NEWEST_FIRST, limit: int = 100
) -> list[bytes]:
    """The ids in the list."""
    async with pool.acquire() as connection:
        return [event.id.bytes for event in await find_events(connection, selection, order, limit=limit)]


def ids(events: Sequence[Event]) -> list[bytes]:
    return [event.id for event in events]


async def test_the_latest_date_comes_first_whenever_it_was_accepted(pool: asyncpg.Pool) -> None:
    """A late event is not listed as a new one."""
    late = an_event(accepted=days_ago(0), date=days_ago(3))
    others = [an_event(accepted=days_ago(age), date=days_ago(age)) for age in (1, 2, 4, 20, 90)]
    await BatchStore(pool).save([normalized(late, *others)])

    expected = ids([others[0], others[1], late, *others[2:]])
    assert await found(pool, a_selection()) == expected
    assert await found(pool, a_selection(), limit=3) == expected[:3]
    assert await found(pool, a_selection(), parse_order("date")) == expected[::-1]


async def test_a_time_range_selects_events_by_their_date(pool: asyncpg.Pool) -> None:
    """From its start up to, but excluding, its end."""
    events = [an_event(accepted=days_ago(age), date=days_ago(age)) for age in range(6)]
    await BatchStore(pool).save([normalized(*events)])

    time = TimeRange(days_ago(4), days_ago(1))
    assert await found(pool, a_selection(time=time)) == ids(events[2:5])
    async with pool.acquire() as connection:
        assert await count_events(connection, a_selection(time=time)) == 3
        assert await count_events(connection, a_selection(project_ids=[])) == 0
    assert await found(pool, a_selection(project_ids=[])) == []


async def test_references_are_found_in_every_age_of_partition(pool: asyncpg.Pool) -> None:
    """From today to long ago, and from a clock that runs ahead; placeholders for invalid ones, too."""
    ages = (-2, 0, 1, 5, 20, 90)
    events = [an_event(accepted=days_ago(age), date=days_ago(age), reference_id="order-4711") for age in ages]
    unusable = [an_event(reference_id="invalid-reference-id") for _ in range(3)]
    await BatchStore(pool).save([normalized(*events, *unusable, an_event(reference_id="order-4712"))])

    assert await found(pool, a_selection("reference:order-4711")) == ids(events)
    assert await found(pool, a_selection("reference:order-4711"), limit=4) == ids(events[:4])
    assert sorted(await found(pool, a_selection("reference:invalid-reference-id"))) == sorted(ids(unusable))


@pytest.mark.parametrize(
    "sort", ["-date", "date", "value", "-value,date", "count,-type", "source,-value", "-reference", "created"]
)
async def test_following_the_cursors_finds_each_event_once(pool: asyncpg.Pool, sort: str) -> None:
    """In any order and in both directions, with many equal and missing values."""
    random = Random(sort)  # noqa: S311 - the same events in every run
    events = [
        an_event(
            accepted=days_ago(random.randrange(3)),
            place=number,
            date=today() - timedelta(days=3, hours=random.randrange(4)),
            value=random.choice([None, Decimal(1), Decimal("1.5"), Decimal(-1)]),
            count=random.choice([None, 1, 2]),
            type=random.choice(["log", "error"]),
            source=random.choice([None, "", "Shop", "shop", "Ä"]),
            reference_id=random.choice([None, f"order-{number}"]),
            project_id=random.choice([PROJECT, OTHER_PROJECT]),
        )
        for number in range(40 * SCALE)
    ]
    await BatchStore(pool).save([normalized(*events)])
    order = parse_order(sort)
    whole = await found(pool, a_selection(), order, limit=10_000)

    forward = await walked(pool, order)
    backward = await walked(pool, order.reversed)

    assert len(whole) == len(events)
    assert forward == whole
    assert backward == whole[::-1]


async def walked(pool: asyncpg.Pool, order: Order) -> list[bytes]:
    """The ids of all pages of seven."""
    seen: list[bytes] = []
    place: Cursor | None = None
    async with pool.acquire() as connection:
        while page := await find_events(connection, a_selection(), order, limit=7, after=place):
            seen += [event.id.bytes for event in page]
            place = page[-1].cursor
    return seen


async def test_pages_stay_correct_while_events_are_stored(pool: asyncpg.Pool) -> None:
    """Events newer than the cursor do not shift the following pages."""
    events = [an_event(accepted=days_ago(age), date=days_ago(age)) for age in range(1, 6)]
    await BatchStore(pool).save([normalized(*events)])
    async with pool.acquire() as connection:
        first = await find_events(connection, a_selection(), limit=2)
        await BatchStore(pool).save([normalized(an_event(), an_event())])
        second = await find_events(connection, a_selection(), limit=10, after=first[-1].cursor)

    assert [event.id.bytes for event in (*first, *second)] == ids(events)


async def test_a_page_of_the_newest_events_reads_few_partitions(pool: asyncpg.Pool) -> None:
    """By an index, also for a few days."""
    await BatchStore(pool).save([normalized(*[an_event(accepted=days_ago(age)) for age in range(40)])])
    plans: list[str] = []

    async with pool.acquire() as connection:
        await connection.execute("SET enable_seqscan = off")
        fetch = connection.fetch

        class Explaining:
            """Also fetches the plan of each query."""

            async def fetch(self, statement: str, *arguments: object) -> list[Any]:
                plans.append("\n".join(row[0] for row in await fetch(f"EXPLAIN {statement}", *arguments)))
                rows: list[Any] = await fetch(statement, *arguments)
                return rows

            fetchrow = staticmethod(connection.fetchrow)

        await find_events(Explaining(), a_selection(), limit=1)
        await find_events(Explaining(), a_selection(time=TimeRange(days_ago(31), days_ago(29))), limit=9)
        await find_events(Explaining(), a_selection(f"date:{days_ago(30):%Y-%m-%d}"), limit=9)
        await find_events(Explaining(), a_selection("reference:order-4711"), limit=1)

    newest, *of_a_time, reference = plans
    assert all(0 < plan.count("project_id_date_idx") <= 4 for plan in (newest, *of_a_time))
    assert reference.count("_reference on") >= 40
    assert not any("Seq Scan on events" in plan for plan in plans)


MANY_WORDS = [f"word-{number}" for number in range(20)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(" OR ".join([*MANY_WORDS, "source:Checkout"]), ["checkout"], id="one of many"),
        pytest.param(
            " ".join(f"NOT {word}" for word in MANY_WORDS), ["checkout", "login"], id="none of many"
        ),
        pytest.param(" ".join(["login", *MANY_WORDS]), [], id="all of many"),
        pytest.param(f"reference:order-4711 ({' OR '.join(['login', *MANY_WORDS])})", ["login"], id="of one"),
        pytest.param(f"reference:order-4711 ({' OR '.join(MANY_WORDS)})", [], id="not of one"),
    ],
)
async def test_a_large_filter_selects_what_small_ones_do(
    pool: asyncpg.Pool, text: str, expected: list[str]
) -> None:
    """Whichever form of SQL is used."""
    events = {
        "checkout": an_event(source="checkout"),
        "login": an_event(source="login", reference_id="order-4711"),
    }
    await BatchStore(pool).save([normalized(*events.values())])

    assert set(await found(pool, a_selection(text))) == {events[name].id for name in expected}


async def test_a_large_filter_is_planned_once_and_not_for_each_partition(pool: asyncpg.Pool) -> None:
    """Otherwise Postgres would need memory in proportion to the partitions: gigabytes for a year."""

    async def lines_about_the_filter() -> int:
        arguments = Arguments()
        condition = where(a_selection(" OR ".join([*MANY_WORDS, "needle"])), arguments)
        plan = await pool.fetch(f"EXPLAIN SELECT FROM events AS e WHERE {condition}", *arguments.values)
        return sum("needle" in row[0] for row in plan)

    await BatchStore(pool).save([normalized(an_event())])
    of_few_partitions = await lines_about_the_filter()
    await BatchStore(pool).save([normalized(*(an_event(accepted=days_ago(age)) for age in range(5, 9)))])

    assert await lines_about_the_filter() == of_few_partitions > 0


@pytest.mark.parametrize("sort", ["-date", "date"])
async def test_a_list_whose_time_is_up_continues_where_it_stopped(pool: asyncpg.Pool, sort: str) -> None:
    """Page after page, until everything is searched: nothing is left out or repeated."""
    events = [an_event(accepted=days_ago(age), date=days_ago(age)) for age in (0, 1, 5, 6, 6, 20, 90)]
    await BatchStore(pool).save([normalized(*events)])
    order, after, pages = parse_order(sort), None, []
    async with pool.acquire() as connection:
        for _ in range(100):
            timer = iter(range(0, 1000, 5)).__next__
            page = await find_page(
                connection, a_selection("hello"), order, limit=10, after=after, seconds=8, timer=timer
            )
            pages.append([event.id.bytes for event in page.events])
            if page.rest is None:
                break
            assert page.cursor is not None
            after = Cursor(page.cursor.values, page.cursor.id)

    expected = sorted(ids(events), key=lambda id_: (id_[:6], id_), reverse=sort == "-date")
    assert [id_ for ids_ in pages for id_ in ids_] == expected
    assert len(pages) > 1


async def test_a_list_in_another_order_has_the_first_of_what_was_searched(pool: asyncpg.Pool) -> None:
    events = [
        an_event(accepted=days_ago(age), date=days_ago(age), value=value)
        for age, value in ((0, Decimal(3)), (0, None), (0, Decimal("NaN")), (40, Decimal(9)))
    ]
    await BatchStore(pool).save([normalized(*events)])
    async with pool.acquire() as connection:
        timer = iter(range(0, 1000, 5)).__next__
        page = await find_page(
            connection, a_selection("hello"), parse_order("-value"), limit=2, seconds=8, timer=timer
        )
        whole = await find_page(connection, a_selection("hello"), parse_order("-value"), limit=9, seconds=8)

    assert [event.id.bytes for event in page.events] == [events[2].id, events[0].id]
    assert page.rest is not None
    assert page.rest.end == days_ago(1)
    assert page.cursor is None
    assert [event.id.bytes for event in whole.events] == [events[at].id for at in (2, 3, 0, 1)]
    assert whole.rest is None


async def test_a_statement_that_takes_too_long_is_cancelled_alone(pool: asyncpg.Pool) -> None:
    """The connection goes on with the time that it had before."""
    async with pool.acquire() as connection:
        with pytest.raises(asyncpg.QueryCanceledError):
            async with bounded(connection, 0.05):
                await connection.execute("SELECT pg_sleep(9)")
        assert await connection.fetchval("SHOW statement_timeout") == "0"


@pytest.mark.parametrize(
    ("text", "sources", "plan"),
    [
        ("status:open", "abcd", StackPlan(None)),
        ("status:fixed", "e", "e"),
        ("status:fixed type:log", "e", "e"),
        ("is_fixed:true OR title:e", "e", "e"),
        ("-status:open", "e", None),
        ("-status:fixed", "abcd", StackPlan(None)),
        ("status:snoozed", "", ""),
        ("status:open OR type:log", "abcde", None),
        ("status:fixed OR *", "abcde", None),
        ("type:log", "abcde", None),
    ],
)
async def test_events_of_rare_stacks_are_looked_up_and_those_of_frequent_ones_met(
    pool: asyncpg.Pool, text: str, sources: str, plan: StackPlan | str | None
) -> None:
    events = {source: an_event(source=source) for source in "abcde"}
    await BatchStore(pool).save([normalized(*events.values())])
    rare = UUID(bytes=events["e"].stack.id)
    await pool.execute("UPDATE stacks SET total_occurrences = 9000")
    await pool.execute("UPDATE stacks SET status = 'fixed', total_occurrences = 1 WHERE id = $1", rare)

    async with pool.acquire() as connection:
        chosen = await _plan(connection, a_selection(text))

    if isinstance(plan, str):
        plan = StackPlan([UUID(bytes=events[source].stack.id) for source in plan])
    assert chosen == plan
    assert set(await found(pool, a_selection(text))) == {events[source].id for source in sources}


async def test_lists_of_sessions_use_their_index(pool: asyncpg.Pool) -> None:
    await BatchStore(pool).save([normalized(an_event(type="Session"), an_event())])
    arguments = Arguments()
    condition = where(a_selection("type:session"), arguments)
    async with pool.acquire() as connection:
        await connection.execute("SET enable_seqscan = off")
        rows = await connection.fetch(
            f"EXPLAIN SELECT id FROM events AS e WHERE {condition} ORDER BY date LIMIT 9",  # noqa: S608
            *arguments.values,
        )
        await connection.execute("RESET enable_seqscan")

    assert any("Index" in row[0] for row in rows)
    assert len(await found(pool, a_selection("type:session"))) == 1


async def test_a_count_that_takes_too_long_is_estimated(pool: asyncpg.Pool) -> None:
    """From a sample, which of few events is all of them; unless rollups have the number."""
    await BatchStore(pool).save([normalized(*(an_event(place=place) for place in range(20)))])
    async with pool.acquire() as connection:
        assert await estimate_events(connection, a_selection("hello"), 60) == (20, False)
        assert await estimate_events(connection, a_selection("hello"), 0) == (20, True)
        half = replace(a_selection("hello"), sample=50.0)
        assert half.scale == 2.0


async def test_nothing_is_estimated_where_the_time_has_no_limit(pool: asyncpg.Pool) -> None:
    """Not even if the driver gives up waiting for the server."""

    async def work(selection: Selection) -> int:
        if selection.sample is None:
            raise TimeoutError
        return 7

    async with pool.acquire() as connection:
        assert await exact_or_sampled(connection, a_selection(), 60, work) == (7, True)
        with pytest.raises(TimeoutError):
            await exact_or_sampled(connection, a_selection(), None, work)

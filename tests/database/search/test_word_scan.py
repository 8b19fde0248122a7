"""Searches by indexes of words find what they find without, in the same order, whichever days have one."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import orjson
import pytest

from collector.database.schema.partitions import partition_name
from collector.database.schema.word_indexes import build_word_index, prepare_word_indexes
from collector.database.search import word_scan
from collector.database.search.event_counts import count_in_buckets
from collector.database.search.event_lists import (
    Selection,
    _pays,
    _word_scan,
    count_events,
    find_page,
    to_count,
)
from collector.database.search.filter_sql import Arguments
from collector.database.writing.store import BatchStore
from collector.domain.dates.datemath import LocalClock
from collector.domain.dates.time_range import TimeRange
from collector.domain.filter.aggregation import parse_aggregations
from collector.domain.filter.parser import parse_filter
from collector.domain.filter.sorting import Cursor, parse_order
from collector.domain.ids import DAY_MS
from tests.database.rows import OTHER_PROJECT, PROJECT, an_event, normalized
from tests.database.word_parts import build_parts

pytestmark = pytest.mark.integration

WORDS = ("needle", "hay", "needle hay", "straw")


async def stored(pool: asyncpg.Pool) -> datetime:
    """Events of a week, some dated days before; days 1, 2 and 4 before today have an index.

    Today and the day before the last one have indexes of parts only, with gaps at the end and in between.
    """
    now: datetime = await pool.fetchval("SELECT now()")
    events: list[Any] = []
    for age in range(7):
        accepted = now - timedelta(days=age)
        events += [
            an_event(
                accepted=accepted - timedelta(milliseconds=place),
                place=place,
                date=accepted - timedelta(hours=late),
                message=WORDS[(age + place) % 4],
                value=Decimal(place),
                project_id=OTHER_PROJECT if place % 5 == 0 else PROJECT,
            )
            for place, late in enumerate((0, 0, 1, 5, 30, 60, 71, 0, 2))
        ]
    await BatchStore(pool).save([normalized(*events)])
    await prepare_word_indexes(pool)
    for _ in range(4):
        await build_word_index(pool)
    third = partition_name((now - timedelta(days=3)).date())
    await pool.execute(f"DROP INDEX {third}_words")
    last = int((now - now.replace(hour=0, minute=0, second=0, microsecond=0)).total_seconds() * 1000)
    await build_parts(pool, now.date(), [(0, last - 6), (last - 6, last - 2)])
    fifth = (now - timedelta(days=5)).date()
    await build_parts(pool, fifth, [(0, last - 6), (last - 3, DAY_MS)])
    return now


async def pages(connection: asyncpg.Connection, selection: Selection, sort: str) -> list[Any]:
    """The keys of the list, page by page."""
    order, after, found = parse_order(sort), None, list[Any]()
    while page := (await find_page(connection, selection, order, limit=4, after=after)).events:
        found += [(event.project_id, event.id) for event in page]
        after = Cursor(page[-1].cursor.values, page[-1].cursor.id)
    return found


@pytest.mark.parametrize("cost", [1e9, 1e-9], ids=["by the index", "read in order"])
@pytest.mark.parametrize("text", ["needle", "message:need* hay", "needle OR straw", "needle NOT hay"])
async def test_lists_and_counts_are_the_same_with_and_without_indexes(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch, text: str, cost: float
) -> None:
    now = await stored(pool)
    aggregations = parse_aggregations("date:(date~1d sum:value) terms:(tags) cardinality:source")
    times = (
        TimeRange(),
        TimeRange(now - timedelta(days=4), now - timedelta(hours=30)),
        TimeRange(now - timedelta(days=2)),
    )
    answers = []
    for few in (1e9, 0.0):
        monkeypatch.setattr(word_scan, "_FEW_EVENTS", few)
        monkeypatch.setattr(word_scan, "_COST_BYTES", cost)
        async with pool.acquire() as connection:
            for time in times:
                selection = Selection(
                    [PROJECT, OTHER_PROJECT], parse_filter(text), time, LocalClock(now + timedelta(minutes=1))
                )
                by_words = (await to_count(connection, selection)).words is not None
                assert by_words == (few == 0.0 and cost > 1)
                answers.append(
                    [
                        await pages(connection, selection, "-date"),
                        await pages(connection, selection, "date"),
                        await pages(connection, selection, "-value"),
                        await count_events(connection, selection),
                        await count_in_buckets(connection, selection, aggregations),
                    ]
                )

    assert answers[:3] == answers[3:]
    assert all(answer[3] for answer in answers)


async def a_day(pool: asyncpg.Pool) -> Selection:
    """Two thousand events of yesterday, which has an index; one has the word, all have another."""
    now: datetime = await pool.fetchval("SELECT now()")
    events = [
        an_event(
            accepted=now - timedelta(days=1, milliseconds=place % 2),
            place=place,
            message="haystack with a needle" if place == 1000 else "haystack",
            reference_id=f"{place:x}",
            data=orjson.dumps({"own": "x" * (place % 400)}),
        )
        for place in range(2000)
    ]
    await BatchStore(pool).save([normalized(*events), normalized(an_event(accepted=now))])
    await prepare_word_indexes(pool)
    await build_word_index(pool)
    await pool.execute("ANALYZE events")
    return Selection([PROJECT], parse_filter("needle"), TimeRange(), LocalClock(now + timedelta(minutes=1)))


async def test_an_index_is_used_for_rare_words_only(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    selection = await a_day(pool)
    frequent = replace(selection, filter=parse_filter("haystack"))
    async with pool.acquire() as connection:
        assert await _word_scan(connection, selection) is None, "so few events are read"
        monkeypatch.setattr(word_scan, "_FEW_EVENTS", 1000.0)
        for chosen, limit, pays in (
            (selection, 10, True),
            (selection, None, True),
            (frequent, 10, False),
            (frequent, None, False),
        ):
            scan = await _word_scan(connection, chosen)
            assert scan is not None
            assert await _pays(connection, chosen, scan, limit) is pays


async def test_a_long_text_and_a_long_word_are_found(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over a megabyte of text, and a word of three kilobytes."""
    now: datetime = await pool.fetchval("SELECT now()")
    text = " ".join(f"word{number}" for number in range(120_000)) + " " + "x" * 3000
    event = an_event(accepted=now - timedelta(days=1), data=orjson.dumps({"own": text, "other": 1}))
    await BatchStore(pool).save([normalized(event)])
    await prepare_word_indexes(pool)
    await build_word_index(pool)
    monkeypatch.setattr(word_scan, "_FEW_EVENTS", 0.0)
    monkeypatch.setattr(word_scan, "_COST_BYTES", 1e9)
    clock = LocalClock(now + timedelta(minutes=1))

    async with pool.acquire() as connection:
        for found in (f"data.own:*{'x' * 3000}", "data.own:*word119999*", "data.own:*"):
            selection = Selection([PROJECT], parse_filter(found), TimeRange(), clock)
            assert (await to_count(connection, selection)).words is not None
            assert await count_events(connection, selection) == 1


@pytest.mark.parametrize("text", ["needle", "needle OR unheardof", "cafe", "7cf", "data.unheard:1"])
async def test_the_planner_uses_the_index_where_there_is_one(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """Elsewhere the text is not made at all; hexadecimal words are also looked up as references."""
    selection = replace(await a_day(pool), filter=parse_filter(text))
    monkeypatch.setattr(word_scan, "_FEW_EVENTS", 1000.0)
    async with pool.acquire() as connection:
        scan = await _word_scan(connection, selection)
        assert scan is not None
        plans = []
        for condition in (*scan.indexed(), scan.others):
            arguments = Arguments()
            statement = f"EXPLAIN SELECT id FROM events AS e WHERE project_id = '{PROJECT}' AND {condition(arguments)}"  # noqa: S608, E501
            rows = await connection.fetch(statement, *arguments.values)
            plans.append("\n".join(row[0] for row in rows))

    indexed, others = plans
    assert "Bitmap Index Scan" in indexed
    assert "_words" in indexed
    assert "Seq Scan" not in indexed
    assert "searched_text" not in others


async def test_the_planner_uses_the_index_of_each_part(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Postgres proves from its arguments that the index has all events that the statement is about."""
    selection = await a_day(pool)
    latest: datetime = await pool.fetchval("SELECT max(created_utc) FROM events WHERE message = 'haystack'")
    middle = int((latest - latest.replace(hour=0, minute=0, second=0, microsecond=0)).total_seconds() * 1000)
    await build_parts(pool, latest.date(), [(0, middle), (middle, DAY_MS)])
    monkeypatch.setattr(word_scan, "_FEW_EVENTS", 1000.0)
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL enable_seqscan = off")
        scan = await _word_scan(connection, selection)
        assert scan is not None
        plans = []
        for condition in scan.indexed():
            arguments = Arguments()
            statement = (
                f"SELECT id FROM events AS e WHERE project_id = '{PROJECT}' AND {condition(arguments)}"  # noqa: S608
            )
            for _ in range(7):
                await connection.fetch(statement, *arguments.values)
            rows = await connection.fetch(f"EXPLAIN {statement}", *arguments.values)
            plans.append("\n".join(row[0] for row in rows))

    assert f"_words_00000000_{middle:08d}" in plans[0]
    assert f"_words_{middle:08d}_{DAY_MS}" in plans[1]
    assert not any("Seq Scan" in plan for plan in plans)

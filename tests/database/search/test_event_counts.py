"""Counts and aggregations of events."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from collector.database.search.event_counts import Bucket, count_in_buckets
from collector.database.search.event_lists import Selection
from collector.database.writing.store import BatchStore
from collector.domain.dates.datemath import LocalClock
from collector.domain.dates.time_range import TimeRange
from collector.domain.errors import BadRequest
from collector.domain.filter.aggregation import parse_aggregations
from collector.domain.filter.parser import parse_filter
from tests.database.rows import PROJECT, an_event, normalized

pytestmark = pytest.mark.integration

DAY = datetime(2026, 11, 20, tzinfo=UTC)
CLOCK = LocalClock(datetime(2026, 11, 23, 12, tzinfo=UTC))


@pytest.fixture(autouse=True)
async def events(pool: asyncpg.Pool) -> None:
    """Six events on three days, in three stacks."""
    rows: list[dict[str, Any]] = [
        {"type": "log", "source": "a", "tags": ("x", "y"), "value": Decimal("1.5"), "count": 3},
        {"type": "log", "source": "a", "tags": ("x",), "value": Decimal(2)},
        {"type": "log", "source": "b", "tags": (), "data": b'{"@user":{"identity":"me"},"@level":"Warn"}'},
        {"type": "error", "value": Decimal(-1), "data": b'{"@error":{"code":"7","inner":{"type":"Oops"}}}'},
        {"type": "error", "data": b'{"@user_description":{"email_address":"you"},"@level":"Error"}'},
        {"type": "error", "data": b'{"@user":{"identity":"me"}}'},
    ]
    dates = [DAY, DAY + timedelta(hours=23), *[DAY + timedelta(days=2, hours=hour) for hour in (0, 1, 1, 2)]]
    stored = [an_event(date=date, **row) for date, row in zip(dates, rows, strict=True)]
    await BatchStore(pool).save([normalized(*stored)])


async def counted(
    pool: asyncpg.Pool, text: str, filter_text: str = "", time: TimeRange | None = None, **members: Any
) -> Bucket:
    """The results of the aggregations over the events that the filter selects."""
    time = time or TimeRange()
    selection = Selection([PROJECT], parse_filter(filter_text), time, members.get("clock", CLOCK))
    async with pool.acquire() as connection:
        return await count_in_buckets(connection, selection, parse_aggregations(text))


def shown(buckets: list[Bucket]) -> dict[Any, int]:
    """The number of events in each bucket."""
    return {bucket.key: bucket.total for bucket in buckets}


async def test_counts_are_limited_by_the_filter_and_the_time_range(pool: asyncpg.Pool) -> None:
    assert (await counted(pool, "")).total == 6
    assert (await counted(pool, "", "type:log")).total == 3
    assert (await counted(pool, "", "type:log", TimeRange(DAY, DAY + timedelta(days=1)))).total == 2
    assert (await counted(pool, "", "type:nothing")).total == 0


async def test_numbers_are_aggregated(pool: asyncpg.Pool) -> None:
    """Missing values are skipped, or counted as the parameter says."""
    whole = await counted(
        pool,
        "avg:value sum:value min:value max:value sum:count~1"
        " cardinality:stack cardinality:tags cardinality:user",
    )

    assert whole.total == 6
    assert whole.values["avg_value"].quantize(Decimal("0.001")) == Decimal("0.833")
    assert whole.values["sum_value"] == Decimal("2.5")
    assert (whole.values["min_value"], whole.values["max_value"]) == (-1, 2)
    assert whole.values["sum_count"] == 8
    assert (whole.values["cardinality_stack"], whole.values["cardinality_tags"]) == (3, 2)
    assert whole.values["cardinality_user"] == 2


@pytest.mark.parametrize(
    ("missing", "total"), [("~.5", "4.0"), ("~-1", "-0.5"), ("~1e3", "3002.5"), ("~+2", "8.5")]
)
async def test_what_is_missing_counts_in_any_spelling(pool: asyncpg.Pool, missing: str, total: str) -> None:
    """Three of the events have no value."""
    assert (await counted(pool, f"sum:value{missing}")).values == {"sum_value": Decimal(total)}


async def test_the_first_and_the_last_moment_are_found_out(pool: asyncpg.Pool) -> None:
    """As the official server's page of a stack asks."""
    whole = await counted(pool, "min:date max:date terms:(type max:date) min:created")

    last = DAY + timedelta(days=2, hours=2)
    assert (whole.values["min_date"], whole.values["max_date"]) == (DAY, last)
    assert [part.values["max_date"] for part in whole.buckets["terms_type"]] == [
        last,
        DAY + timedelta(days=2),
    ]
    assert isinstance(whole.values["min_created"], datetime)
    nothing = await counted(pool, "min:date date:(date max:date)", "type:nothing")
    assert nothing.values == {"min_date": None}


async def test_nothing_has_no_buckets_within_buckets(pool: asyncpg.Pool) -> None:
    """Of whatever kind they would be."""
    whole = await counted(pool, "terms:(type terms:tags cardinality:tags date:date)", "type:nothing")

    assert whole.buckets == {"terms_type": []}


async def test_too_many_buckets_are_refused(pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers are bounded; gaps are filled as far as the bound allows."""
    monkeypatch.setattr("collector.database.search.event_counts.MAXIMUM_BUCKETS", 4)

    with pytest.raises(BadRequest, match="The aggregation `date_date` has more than 4 buckets"):
        await counted(pool, "terms:(type date:date~1h)")
    hours = (await counted(pool, "date:date~1h", "type:log")).buckets["date_date"]
    assert len(hours) == 3 + 4


async def test_buckets_that_are_not_shown_do_not_limit_the_others(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shown buckets are complete, however many others exist."""
    monkeypatch.setattr("collector.database.search.event_counts.MAXIMUM_BUCKETS", 3)

    (errors,) = (await counted(pool, "terms:(type~1 date:date~1h)")).buckets["terms_type"]

    late = DAY + timedelta(days=2)
    assert shown(errors.buckets["date_date"]) == {
        late + timedelta(hours=1): 2,
        late + timedelta(hours=2): 1,
    }


async def test_nested_terms_are_those_of_the_shown_buckets(pool: asyncpg.Pool) -> None:
    """Also within a date bucket."""
    days = (await counted(pool, "date:(date~1d cardinality:tags terms:(type~1 cardinality:tags))")).buckets

    assert [day.values["cardinality_tags"] for day in days["date_date"]] == [2, 0, 0]
    kinds = days["date_date"][0].buckets["terms_type"]
    assert [kind.values for kind in kinds] == [{"cardinality_tags": 2}]


async def test_the_average_of_no_values_is_missing(pool: asyncpg.Pool) -> None:
    """And not an error."""
    whole = await counted(pool, "avg:value cardinality:tags terms:type date:date", "type:nothing")

    assert whole.values == {"avg_value": None, "cardinality_tags": 0}
    assert whole.buckets == {"terms_type": [], "date_date": []}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("terms:type", {"error": 3, "log": 3}),
        ("terms:type~1", {"error": 3}),
        ("terms:tags", {"x": 2, "y": 1}),
        ("terms:level", {"Error": 1, "Warn": 1}),
        ("terms:error.code", {"7": 1}),
        ("terms:error.type", {"Oops": 1}),
        ("terms:user", {"me": 2, "you": 1}),
        ("terms:first", {"false": 3, "true": 3}),
        ("terms:status", {"open": 6}),
        ("terms:(first @include:true)", {"true": 3}),
        ("terms:(type @include:LOG @include:none)", {"log": 3}),
        ("terms:(type @exclude:Log)", {"error": 3}),
        ("terms:(tags @missing:untagged)", {"untagged": 4, "x": 2, "y": 1}),
        ("terms:(tags @missing:untagged @exclude:untagged)", {"x": 2, "y": 1}),
        ("terms:(tags @exclude:x)", {"y": 1}),
        ("terms:(error.code @exclude:7 @missing:none)", {"none": 5}),
        ("terms:(level @missing:none @min:2)", {"none": 4}),
        ("terms:tags^2", {"x": 2}),
        ("terms:value", {"1.5": 1, "2": 1, "-1": 1}),
        ("terms:(value @include:1.50)", {"1.5": 1}),
        ("terms:(value @missing:none @exclude:+2.0 @exclude:-1)", {"none": 3, "1.5": 1}),
        ("terms:occurrences", {"3": 3, "4": 2, "1": 1}),
        ("terms:data.@user.name.x", None),
    ],
)
async def test_terms_are_the_most_frequent_values(
    pool: asyncpg.Pool, text: str, expected: dict[str, int] | None
) -> None:
    """Of columns, tags, data, errors and stacks."""
    (buckets,) = (await counted(pool, text)).buckets.values()

    assert shown(buckets) == (expected or {})


async def test_terms_can_be_sorted_by_an_aggregation(pool: asyncpg.Pool) -> None:
    """As the official server sorts stacks by their users. Terms without a value come last."""
    falling = (await counted(pool, "terms:(source -sum:count~1)")).buckets["terms_source"]
    rising = (await counted(pool, "terms:(type~1 +max:value)")).buckets["terms_type"]
    nulls = (await counted(pool, "terms:(source -max:value)")).buckets["terms_source"]

    assert [(bucket.key, bucket.values["sum_count"]) for bucket in falling[:2]] == [("a", 4), ("b", 1)]
    assert [(bucket.key, bucket.values["max_value"]) for bucket in rising] == [("error", -1)]
    assert [bucket.key for bucket in nulls] == ["a", "b"]


async def test_missing_values_can_count_as_one(pool: asyncpg.Pool) -> None:
    """In cardinalities, also of lists. Equal numbers count once."""
    await BatchStore(pool).save([normalized(an_event(value=Decimal("2.00"), tags=(), date=DAY))])
    whole = await counted(
        pool, "cardinality:user~nobody cardinality:tags~none^100 cardinality:value", "type:log"
    )

    assert whole.values == {"cardinality_user": 2, "cardinality_tags": 3, "cardinality_value": 2}


async def test_calendar_intervals_follow_the_calendar(pool: asyncpg.Pool) -> None:
    """`M` is a month and `m` a minute, and buckets can start at an offset."""
    assert shown((await counted(pool, "date:date~1M")).buckets["date_date"]) == {DAY.replace(day=1): 6}
    assert shown((await counted(pool, "date:date~1w")).buckets["date_date"]) == {DAY - timedelta(days=4): 6}
    moved = (await counted(pool, "date:(date~1d @offset:+6h)")).buckets["date_date"]
    assert shown(moved) == {
        DAY - timedelta(hours=18): 1,
        DAY + timedelta(hours=6): 1,
        DAY + timedelta(days=1, hours=6): 4,
    }
    month = (await counted(pool, "date:(date~1M^+2h -@offset:1h)")).buckets["date_date"]
    assert shown(month) == {DAY.replace(day=1) - timedelta(hours=3): 6}


@pytest.mark.parametrize("value", ["1e400", "-1e999", "NaN", "Infinity"])
async def test_a_number_beyond_the_range_of_doubles_is_skipped(pool: asyncpg.Pool, value: str) -> None:
    """Its event is counted."""
    await BatchStore(pool).save([normalized(an_event(value=Decimal(value), date=DAY))])

    whole = await counted(pool, "sum:value avg:value min:value max:value terms:(type sum:value)")

    assert whole.total == 7
    assert whole.values["sum_value"] == Decimal("2.5")
    assert whole.values["avg_value"].quantize(Decimal("0.001")) == Decimal("0.833")
    assert (whole.values["min_value"], whole.values["max_value"]) == (-1, 2)


async def test_keys_do_not_depend_on_the_databases_settings(pool: asyncpg.Pool, database_url: str) -> None:
    """Dates of events and stacks are written in our format in any session."""
    await pool.execute("UPDATE events SET date = date + interval '1500 ms' WHERE type = 'error'")
    name = await pool.fetchval("SELECT current_database()")
    for setting in ("datestyle = 'SQL, DMY'", "timezone = 'Asia/Kolkata'", "extra_float_digits = -15"):
        await pool.execute(f'ALTER DATABASE "{name}" SET {setting}')
    selection = Selection([PROJECT], parse_filter(""), TimeRange(), CLOCK)
    asked = parse_aggregations(
        "terms:date terms:value date:date~1d terms:last cardinality:last cardinality:date"
    )

    connection = await asyncpg.connect(database_url)
    try:
        assert await connection.fetchval("SHOW datestyle") == "SQL, DMY"
        whole = await count_in_buckets(connection, selection, asked)
    finally:
        await connection.close()

    dates = shown(whole.buckets["terms_date"])
    assert {"2026-11-20T00:00:00Z": 1, "2026-11-22T02:00:01.5Z": 1}.items() <= dates.items()
    assert sum(dates.values()) == 6
    async with pool.acquire() as connection:
        assert await count_in_buckets(connection, selection, asked) == whole


async def test_date_buckets_have_no_gaps(pool: asyncpg.Pool) -> None:
    """Days without events are included, and days start at the reader's midnight."""
    days = (await counted(pool, "date:date~1d")).buckets["date_date"]
    assert shown(days) == {DAY: 2, DAY + timedelta(days=1): 0, DAY + timedelta(days=2): 4}

    east = LocalClock(CLOCK.now, timedelta(hours=2))
    days = (await counted(pool, "date:date~1d", clock=east)).buckets["date_date"]
    assert shown(days) == {
        DAY - timedelta(hours=2): 1,
        DAY + timedelta(hours=22): 1,
        DAY + timedelta(hours=46): 4,
    }

    assert shown((await counted(pool, "date:date~month")).buckets["date_date"]) == {DAY.replace(day=1): 6}
    quarter = (await counted(pool, "date:date~q^-5h")).buckets["date_date"]
    assert shown(quarter) == {datetime(2026, 10, 1, 5, tzinfo=UTC): 6}


@pytest.mark.parametrize("interval", ["", "~30d", "~1d^-5h", "~1d^+5h", "~month^+5h", "~year"])
async def test_the_first_bucket_begins_with_the_calendar(pool: asyncpg.Pool, interval: str) -> None:
    """Never before the first date; it can be filtered like any other."""
    row: dict[str, Any] = {"type": "old", "date": datetime(1, 1, 1, 3, tzinfo=UTC)}
    await BatchStore(pool).save([normalized(an_event(**row))])

    whole = await counted(pool, f"date:(date{interval} date:date~1h)", "type:old")

    ((day,),) = whole.buckets.values()
    assert (day.key.date(), day.total) == (datetime(1, 1, 1, tzinfo=UTC).date(), 1)
    assert shown(day.buckets["date_date"]) == {datetime(1, 1, 1, 3, tzinfo=UTC): 1}


async def test_the_default_interval_fits_the_time_range(pool: asyncpg.Pool) -> None:
    """A chart of one day has no buckets of a day."""
    time = TimeRange(DAY, DAY + timedelta(days=1))
    hours = (await counted(pool, "date:date", time=time)).buckets["date_date"]

    assert hours[1].key - hours[0].key == timedelta(minutes=15)
    assert sum(bucket.total for bucket in hours) == 2


async def test_buckets_can_contain_buckets(pool: asyncpg.Pool) -> None:
    """And numbers, each of the bucket's own events."""
    whole = await counted(
        pool, "terms:(type~2 sum:count~1 cardinality:tags date:(date~1d terms:(source max:value)))"
    )

    error, log = whole.buckets["terms_type"]
    assert (error.key, error.total, error.values) == ("error", 3, {"sum_count": 3, "cardinality_tags": 0})
    assert (log.key, log.total, log.values) == ("log", 3, {"sum_count": 5, "cardinality_tags": 2})
    first, gap, last = log.buckets["date_date"]
    assert [(each.key, each.total) for each in (first, gap, last)] == [
        (DAY, 2),
        (DAY + timedelta(days=1), 0),
        (DAY + timedelta(days=2), 1),
    ]
    assert [(each.key, each.values) for each in first.buckets["terms_source"]] == [("a", {"max_value": 2})]
    assert gap.buckets["terms_source"] == []
    assert [each.values for each in last.buckets["terms_source"]] == [{"max_value": None}]


async def test_what_takes_too_long_is_estimated_from_a_sample(pool: asyncpg.Pool) -> None:
    """Of few events the sample is all of them: the estimate is right, but marked."""
    text = "date:(date~1d sum:count~1 cardinality:user) sum:value terms:tags"
    selection = Selection([PROJECT], parse_filter("type:log OR type:error message:hello"), TimeRange(), CLOCK)
    aggregations = parse_aggregations(text)
    async with pool.acquire() as connection:
        exact = await count_in_buckets(connection, selection, aggregations, seconds=60)
        estimated = await count_in_buckets(connection, selection, aggregations, seconds=0)

    assert not exact.is_estimated
    assert estimated == replace(exact, is_estimated=True)

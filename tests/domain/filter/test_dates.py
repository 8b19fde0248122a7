from datetime import UTC, datetime, timedelta

import pytest

from collector.domain.dates.datemath import LocalClock
from collector.domain.dates.time_range import TimeRange
from collector.domain.errors import BadRequest
from collector.domain.filter.dates import common_dates, date_bounds
from collector.domain.filter.parser import parse_filter

CLOCK = LocalClock(datetime(2026, 11, 22, 21, 5, tzinfo=UTC))


def day(number: int) -> datetime:
    """The start of a day in November 2026."""
    return datetime(2026, 11, number, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "dates"),
    [
        pytest.param("date:2026-11-05", TimeRange(day(5), day(6)), id="a day"),
        pytest.param("DATE:[2026-11-05 TO 2026-11-07}", TimeRange(day(5), day(7)), id="a range"),
        pytest.param("date:>=2026-11-05", TimeRange(day(5)), id="a comparison"),
        pytest.param("date:<2026-11-05 type:log", TimeRange(end=day(5)), id="and another condition"),
        pytest.param(
            "(a (date:>2026-11-05 b)) date:<2026-11-08", TimeRange(day(6), day(8)), id="nested ranges"
        ),
        pytest.param("date:2026-11-05 OR date:2026-11-09", TimeRange(day(5), day(10)), id="one or the other"),
        pytest.param("date:(2026-11-05 OR <2026-11-02)", TimeRange(end=day(6)), id="one of them is open"),
        pytest.param("date:2026-11-05 OR date:>2026-11-09", TimeRange(day(5)), id="open at the other end"),
        pytest.param("date:2026-11-05 OR type:log", TimeRange(), id="or something else"),
        pytest.param("NOT date:2026-11-05", TimeRange(), id="negated"),
        pytest.param("-date:2026-11-05", TimeRange(), id="negated with a minus"),
        pytest.param(
            "_exists_:date created:2026-11-05 2026-11-06", TimeRange(), id="other conditions about dates"
        ),
        pytest.param("*", TimeRange(), id="everything"),
        pytest.param("date:<2026-11-05 date:>2026-11-08", TimeRange(day(9), day(5)), id="an empty range"),
    ],
)
def test_a_filter_bounds_the_dates_of_its_events(text: str, dates: TimeRange) -> None:
    assert date_bounds(parse_filter(text), CLOCK) == dates


def test_an_invalid_date_is_rejected() -> None:
    with pytest.raises(BadRequest, match="is not a date"):
        date_bounds(parse_filter("date:soon"), CLOCK)


def test_common_dates_are_the_intersection() -> None:
    hour = timedelta(hours=1)

    assert common_dates(TimeRange(), TimeRange(day(1), day(2))) == TimeRange(day(1), day(2))
    assert common_dates(TimeRange(day(1)), TimeRange(day(1) + hour, day(2))) == TimeRange(
        day(1) + hour, day(2)
    )
    assert common_dates(TimeRange(end=day(3)), TimeRange(None, day(2))) == TimeRange(None, day(2))

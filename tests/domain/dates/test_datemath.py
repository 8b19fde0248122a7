"""Date math, time ranges and UTC offsets."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.domain.dates.datemath import LocalClock, Span, parse_span
from collector.domain.dates.time_range import TimeRange, parse_offset, parse_time_range
from collector.domain.errors import BadRequest

NOW = datetime(2026, 11, 22, 21, 5, 3, tzinfo=UTC)  # a Sunday
CLOCK = LocalClock(NOW)
NEW_YORK = LocalClock(NOW, timedelta(hours=-5))


def at(*parts: int) -> datetime:
    """A moment in UTC."""
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("text", "begin", "end"),
    [
        pytest.param("2026", at(2026, 1, 1), at(2027, 1, 1), id="a year"),
        pytest.param("2026-12", at(2026, 12, 1), at(2027, 1, 1), id="a month"),
        pytest.param("2026-02-28", at(2026, 2, 28), at(2026, 3, 1), id="a day"),
        pytest.param("2026-02-28T23", at(2026, 2, 28, 23), at(2026, 3, 1), id="an hour"),
        pytest.param("2026-02-28 23:59", at(2026, 2, 28, 23, 59), at(2026, 3, 1), id="a minute"),
        pytest.param("2026-02-28T23:59:59Z", at(2026, 2, 28, 23, 59, 59), at(2026, 3, 1), id="a second"),
        pytest.param(
            "2026-02-28T01:00:00.5+02:00",
            at(2026, 2, 27, 23, 0, 0, 500_000),
            at(2026, 2, 27, 23, 0, 0, 600_000),
            id="a fraction, with an offset",
        ),
        pytest.param("now", NOW, NOW + timedelta(microseconds=1), id="now"),
        pytest.param("now-1d", at(2026, 11, 21, 21, 5, 3), at(2026, 11, 21, 21, 5, 3, 1), id="a day ago"),
        pytest.param("now/d", at(2026, 11, 22), at(2026, 11, 23), id="today"),
        pytest.param("now/d-4d", at(2026, 11, 18), at(2026, 11, 19), id="four days ago"),
        pytest.param("now/w", at(2026, 11, 16), at(2026, 11, 23), id="the week since Monday"),
        pytest.param("now/M-1M", at(2026, 10, 1), at(2026, 11, 1), id="last month"),
        pytest.param("now-7D/H", at(2026, 11, 15, 21), at(2026, 11, 15, 22), id="in capitals"),
        pytest.param("2026-01-31||+1M/d", at(2026, 2, 28), at(2026, 3, 1), id="a shorter month"),
        pytest.param("now/y", at(2026, 1, 1), at(2027, 1, 1), id="this year"),
        pytest.param(
            "9999-12-31", at(9999, 12, 31), datetime.max.replace(tzinfo=UTC), id="the end of the calendar"
        ),
    ],
)
def test_the_precision_of_a_date_is_the_length_of_its_span(text: str, begin: datetime, end: datetime) -> None:
    assert parse_span(text, CLOCK) == Span(begin, end)


def test_dates_without_an_offset_are_in_the_clients_local_time() -> None:
    assert parse_span("2026-11-22", NEW_YORK) == Span(at(2026, 11, 22, 5), at(2026, 11, 23, 5))
    assert parse_span("now/d", NEW_YORK) == Span(at(2026, 11, 22, 5), at(2026, 11, 23, 5))


@pytest.mark.parametrize(
    "text",
    ["", "12", "2026-13", "2026-02-30", "0000", "now+999999y", "now-1", "now/x", "nowhere", "soon"],
)
def test_texts_that_are_no_dates_and_dates_beyond_the_calendar_are_none(text: str) -> None:
    assert parse_span(text, CLOCK) is None


@given(st.text(max_size=30) | st.from_regex(r"(now|[0-9]{1,4}(-[0-9]{2}){0,2})([+-/][0-9a-zA-Z]{0,6})*"))
def test_any_text_is_parsed_or_rejected(text: str) -> None:
    span = parse_span(text, CLOCK)
    assert span is None or span.begin < span.end
    with suppress(BadRequest):
        parse_time_range(text, CLOCK)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", TimeRange(), id="nothing"),
        pytest.param("all", TimeRange(), id="all"),
        pytest.param("last 24 hours", TimeRange(at(2026, 11, 21, 21, 5, 3)), id="hours"),
        pytest.param("Last  7 Days", TimeRange(at(2026, 11, 15, 21, 5, 3)), id="days"),
        pytest.param("past month", TimeRange(at(2026, 10, 22, 21, 5, 3)), id="a month"),
        pytest.param("date|last hour", TimeRange(at(2026, 11, 22, 20, 5, 3)), id="with its field"),
        pytest.param("today", TimeRange(at(2026, 11, 22), at(2026, 11, 23)), id="today"),
        pytest.param("yesterday", TimeRange(at(2026, 11, 21), at(2026, 11, 22)), id="yesterday"),
        pytest.param("this week", TimeRange(at(2026, 11, 16), at(2026, 11, 23)), id="this week"),
        pytest.param("2026-01-01-2026-02-01", TimeRange(at(2026, 1, 1), at(2026, 2, 2)), id="two days"),
        pytest.param(
            "2026-01-01T10:00:00-2026-02-01T10:00:00",
            TimeRange(at(2026, 1, 1, 10), at(2026, 2, 1, 10, 0, 1)),
            id="two times",
        ),
        pytest.param(
            "[now-1d TO now]",
            TimeRange(at(2026, 11, 21, 21, 5, 3), at(2026, 11, 22, 21, 5, 3, 1)),
            id="brackets",
        ),
        pytest.param("{2026-01-01 TO *}", TimeRange(at(2026, 1, 2)), id="open"),
        pytest.param("2026-01", TimeRange(at(2026, 1, 1), at(2026, 2, 1)), id="one month"),
    ],
)
def test_time_is_parsed_as_a_range(text: str, expected: TimeRange) -> None:
    assert parse_time_range(text, CLOCK) == expected


@pytest.mark.parametrize(
    "text", ["soon", "last", "last 0x days", "created|today", "2026-01-01-soon", "[a TO b]"]
)
def test_other_texts_are_no_range(text: str) -> None:
    with pytest.raises(BadRequest, match="The parameter `time`"):
        parse_time_range(text, CLOCK)


@pytest.mark.parametrize(
    ("text", "minutes"), [("-300m", -300), ("-6h", -360), ("+05:30", 330), ("2h", 120), ("1.5h", 90)]
)
def test_an_offset_is_a_time_span(text: str, minutes: int) -> None:
    assert parse_offset(text) == timedelta(minutes=minutes)


@pytest.mark.parametrize("text", ["x", "25h", "-1d", "12:0", "5"])
def test_other_texts_are_no_offset(text: str) -> None:
    with pytest.raises(BadRequest, match="The parameter `offset`"):
        parse_offset(text)

"""Dates as clients write them."""

from datetime import UTC, datetime, timedelta

import pytest

from collector.domain.event.date import EventDate, is_too_old, parse_date

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "date"),
    [
        pytest.param(
            "2026-11-22T11:41:20.894Z", EventDate(datetime(2026, 11, 22, 11, 41, 20, 894000, UTC)), id="as JS"
        ),
        pytest.param(
            "2024-02-29T23:59:59.1234567+02:00",
            EventDate(datetime(2024, 2, 29, 21, 59, 59, 123456, UTC), 120),
            id="as .NET: seven digits and an offset",
        ),
        pytest.param(
            "2024-01-01t10:00:00-03:30",
            EventDate(datetime(2024, 1, 1, 13, 30, tzinfo=UTC), -210),
            id="behind UTC",
        ),
        pytest.param(
            "2024-01-01T10:00:00", EventDate(datetime(2024, 1, 1, 10, tzinfo=UTC)), id="no offset is UTC"
        ),
        pytest.param("2024-01-01", EventDate(datetime(2024, 1, 1, tzinfo=UTC)), id="a day"),
        pytest.param("2026-11-22T13:00:00Z", EventDate(NOW), id="the future is now"),
        pytest.param("2026-11-22T13:00:00+00:30", EventDate(NOW, 30), id="the future keeps its offset"),
        pytest.param(
            "2026-11-22T13:30:00+05:00", EventDate(NOW - timedelta(hours=3.5), 300), id="only looks later"
        ),
        pytest.param("9999-12-31T23:59:59.9999999", EventDate(NOW), id="the last year"),
        pytest.param("9999-12-31T23:59:59-14:00", EventDate(NOW, -840), id="beyond the last year"),
        pytest.param("0001-01-01T00:00:00", EventDate(NOW), id="what .NET writes for no date"),
        pytest.param("0001-01-01T00:00:00+00:00", EventDate(NOW), id="the same with an offset"),
        pytest.param("0001-01-01T02:00:00+02:00", EventDate(NOW), id="the same moment elsewhere"),
        pytest.param("0001-01-02T00:00:00Z", EventDate(datetime(1, 1, 2, tzinfo=UTC)), id="the first year"),
        pytest.param("0001-01-01T05:00:00+14:00", None, id="before the first year"),
        pytest.param("0000-01-01T00:00:00Z", None, id="year 0"),
        pytest.param("2024-02-30T00:00:00Z", None, id="an impossible day"),
        pytest.param("yesterday", None, id="words"),
        pytest.param("1732276800", None, id="seconds"),
        pytest.param("", None, id="nothing"),
    ],
)
def test_a_date_is_parsed_to_utc_with_its_offset(text: str, date: EventDate | None) -> None:
    """None for garbage. No date is in the future."""
    assert parse_date(text, NOW) == date


@pytest.mark.parametrize(
    ("age", "max_age", "is_old"),
    [
        pytest.param(timedelta(days=3), timedelta(days=3), False, id="just young enough"),
        pytest.param(timedelta(days=3, microseconds=1), timedelta(days=3), True, id="just too old"),
        pytest.param(timedelta(days=9000), None, False, id="no limit"),
    ],
)
def test_age_counts_from_acceptance(age: timedelta, max_age: timedelta | None, *, is_old: bool) -> None:
    """An event that was young enough when it was accepted is never discarded later."""
    assert is_too_old(NOW - age, NOW, max_age) is is_old

"""Dates in the formats that .NET accepts in its invariant culture."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from collector.domain.dates.written_date import written_date

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
MORNING = datetime(2026, 11, 30, 7, 39, tzinfo=UTC)
DAY = datetime(2026, 11, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("Mon, 30 Nov 2026 07:39:00 GMT", MORNING),
        ("11/30/2026 7:39 AM", MORNING),
        ("11/30/2026 07:39", MORNING),
        ("2026-11-30 07:39", MORNING),
        ("2026-11-30 07:39:00Z", MORNING),
        ("2026/11/30 7:39:00", MORNING),
        ("30 Nov 2026 07:39", MORNING),
        ("30-Nov-2026 07:39", MORNING),
        ("Nov 30, 2026 7:39 am", MORNING),
        ("Nov 30 2026 7:39AM", MORNING),
        ("Monday, 30 November 2026 07:39:00", MORNING),
        ("Monday, November 30, 2026 7:39:00 AM", MORNING),
        ("07:39 11/30/2026", MORNING),
        ("  11/30/2026\t07:39 ", MORNING),
        ("11/30/26 07:39", MORNING),
        ("7:39", MORNING),
        ("11/30/2026 08:39 +01:00", MORNING.astimezone(timezone(timedelta(hours=1)))),
        ("11/30/2026 08:39:00 +1", MORNING.astimezone(timezone(timedelta(hours=1)))),
        ("11/30/2026 04:09:00 -0330", MORNING.astimezone(timezone(timedelta(hours=-3.5)))),
        ("11/30/2026 12:00:00 AM", DAY),
        ("11/30/2026 12:30 PM", DAY + timedelta(hours=12, minutes=30)),
        ("11/30/2026 11 PM", DAY + timedelta(hours=23)),
        ("11/30/2026 07:39:00.1234567", MORNING + timedelta(microseconds=123456)),
        ("30 Nov 2026", DAY),
        ("30-Nov-26", DAY),
        ("2026 Nov 30", DAY),
        ("11.30.2026", DAY),
        ("11-30-2026", DAY),
        ("2026/11/30", DAY),
        ("2026-11-30Z", DAY),
        ("November 30", DAY),
        ("11/30", DAY),
        ("Nov 2026", DAY.replace(day=1)),
        ("2026/11", DAY.replace(day=1)),
        ("11/2026", DAY.replace(day=1)),
        ("1/2/2026", datetime(2026, 1, 2, tzinfo=UTC)),
        ("2/29/2024", datetime(2024, 2, 29, tzinfo=UTC)),
        ("1/2/49", datetime(2049, 1, 2, tzinfo=UTC)),
        ("1/2/50", datetime(1950, 1, 2, tzinfo=UTC)),
    ],
)
def test_a_date_is_parsed_in_many_formats(text: str, moment: datetime) -> None:
    found = written_date(text, NOW)

    assert found == moment
    assert found.utcoffset() == moment.utcoffset()


@pytest.mark.parametrize(
    "text",
    [
        "", "now", "yesterday", "1732276800", "2026", "Monday", "May", "30/11/2026", "2/29/2026",
        "Tue, 30 Nov 2026", "hello 11/30/2026", "11/30/2026 hello", "11/30/2026 24:00", "11/30/2026 13:00 PM",
        "11/30/2026 07:60", "11/30/2026 07:39 +15:00", "11/30/2026 07:39 +01:75",
        "11/30/2026 07:39 08:39", "Nov Dec 2026",
        "1 2 3 4", "40.7,-74",
        "1/2/20260", "11//30//2026", "0/1/2026", "1/1/0000", "\uff11/2/2026", "1" * 100,
        "1/" * 39,
    ],
)  # fmt: skip
def test_texts_that_dotnet_rejects_are_no_date(text: str) -> None:
    assert written_date(text, NOW) is None

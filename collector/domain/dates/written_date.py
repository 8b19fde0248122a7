"""Dates that .NET parses in its invariant culture, in addition to ISO 8601.

`Mon, 30 Nov 2026 07:39:00 GMT`, `11/30/2026 7:39 AM`, `30-Nov-2026`, `2026/11/30 07:39 +01:00`: in numeric
dates the month precedes the day, names are English, missing parts come from the time of acceptance, and a
date without an offset is in UTC. A lenient parser such as dateutil's would guess where .NET rejects the text.
"""

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

_LONGEST: Final = 80
_MONTHS: Final = [
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
]  # fmt: skip
_DAYS: Final = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
_ABBREVIATION: Final = 3
"""The length of an abbreviated name."""

_OFFSET: Final = r"(?P<zone>z|gmt|utc)?[ ]*(?P<offset>[+-][0-9]{1,2}(?::?[0-9]{2})?)?"
_CLOCK: Final = re.compile(
    r"(?:^|(?<=[ ,])|(?<=[0-9])t)(?P<hour>[0-9]{1,2})"
    r"(?::(?P<minute>[0-9]{1,2})(?::(?P<second>[0-9]{1,2})(?:[.,](?P<fraction>[0-9]{1,9}))?)?|(?=[ ]*[ap]m))"
    rf"[ ]*(?P<half>[ap]m)?[ ]*{_OFFSET}(?=[ ,]|$)"
)
_DAY_WITH_OFFSET: Final = re.compile(
    r"(?P<date>.*[0-9])(?:z|[ ]+(?=[zgu+-])(?P<zone>z|gmt|utc)?[ ]*(?P<offset>[+-][0-9]{1,2}:?[0-9]{2})?)"
)
_WORDS: Final = re.compile(r"[a-z]+|[0-9]{1,4}")
_BETWEEN: Final = re.compile(r"[ ,]*|[ ]*[/.-][ ]*")
_OFFSET_HOURS_AT_MOST: Final = 14
_MINUTES: Final = 60
_NOON: Final = 12
_YEAR_DIGITS: Final = 3
"""A number of three digits or more is a year."""
_LAST_OF_TWO_DIGITS: Final = 49
"""Two-digit years up to 49 are in this century, as in .NET."""


def written_date(text: str, now: datetime) -> datetime | None:
    """Parse a date, keeping its offset; None if the text is not a date."""
    text = " ".join(text.lower().split())
    if not text or len(text) > _LONGEST or not text.isascii():
        return None
    # Cut out the time of day, or else the offset behind the date; the rest is the day.
    clock = _CLOCK.search(text)
    if clock is not None:
        date = f"{text[: clock.start()]} {text[clock.end() :]}"
    elif clock := _DAY_WITH_OFFSET.fullmatch(text):
        date = clock["date"]
    else:
        date = text
    day = _parse_day(date.strip(" ,"), now)
    if day is None:
        return None
    try:
        return day if clock is None else _with_clock(day, clock)
    except (ValueError, OverflowError):
        return None


def _with_clock(day: datetime, clock: re.Match[str]) -> datetime:
    """Set the offset, and the time of day if the text has one. Raises ValueError."""
    if offset := clock["offset"]:
        digits = offset[1:].replace(":", "")
        # `+1`, `+01`, `+130`, `+0130`
        hours, minutes = (int(digits), 0) if len(digits) <= 2 else (int(digits[:-2]), int(digits[-2:]))  # noqa: PLR2004
        if minutes >= _MINUTES or hours * _MINUTES + minutes > _OFFSET_HOURS_AT_MOST * _MINUTES:
            raise ValueError
        distance = timedelta(hours=hours, minutes=minutes)
        day = day.replace(tzinfo=timezone(-distance if offset.startswith("-") else distance))
    # Only an offset behind the date.
    if clock.re is not _CLOCK:
        return day
    hour, half = int(clock["hour"]), clock["half"]
    if half:
        if hour > _NOON:
            raise ValueError
        hour = hour % _NOON + (_NOON if half == "pm" else 0)
    microsecond = int((clock["fraction"] or "")[:6].ljust(6, "0"))
    return day.replace(
        hour=hour,
        minute=int(clock["minute"] or 0),
        second=int(clock["second"] or 0),
        microsecond=microsecond,
    )


def _parse_day(text: str, now: datetime) -> datetime | None:
    """Parse a day, today if the text is empty; None if it is not a day or names the wrong weekday."""
    words = _WORDS.findall(text)
    if any(_BETWEEN.fullmatch(gap) is None for gap in _WORDS.split(text)):
        return None
    # A name of a weekday may begin it; then at most one name of a month, and numbers.
    weekday = _index(words[0], _DAYS) if words else None
    if weekday is not None:
        words = words[1:]
    months = [number for word in words if (number := _index(word, _MONTHS)) is not None]
    numbers = [word for word in words if word.isdigit()]
    if len(months) > 1 or len(months) + len(numbers) != len(words):
        return None
    try:
        # Only a time of day was written: it is today's.
        if not words:
            day = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
            return None if weekday is not None or text else day
        year, month, number = _parts(months, numbers, now)
        day = datetime(year, month, number, tzinfo=UTC)
    except ValueError:
        return None
    return day if weekday in {None, day.weekday()} else None


def _parts(months: list[int], numbers: list[str], now: datetime) -> tuple[int, int, int]:
    """Year, month and day. Raises ValueError if there are too few or too many numbers."""
    is_year_first = bool(numbers) and len(numbers[0]) >= _YEAR_DIGITS
    match months, numbers:
        case [month], [number] if is_year_first:  # November 2026
            parts = _year(number), month + 1, 1
        case [month], [number]:  # 30 November
            parts = now.year, month + 1, int(number)
        case [month], [first, second]:  # 2026 Nov 30; 30 Nov 2026
            year, day = (first, second) if is_year_first else (second, first)
            parts = _year(year), month + 1, _part(day)
        case [], [first, second] if is_year_first:  # 2026/11
            parts = _year(first), _part(second), 1
        case [], [first, second] if len(second) >= _YEAR_DIGITS:  # 11/2026
            parts = _year(second), _part(first), 1
        case [], [first, second]:  # 11/30
            parts = now.year, _part(first), _part(second)
        case [], [first, second, third] if is_year_first:  # 2026/11/30
            parts = _year(first), _part(second), _part(third)
        case [], [first, second, third]:  # 11/30/2026
            parts = _year(third), _part(first), _part(second)
        case _:
            raise ValueError
    return parts


def _part(text: str) -> int:
    if len(text) >= _YEAR_DIGITS:
        raise ValueError
    return int(text)


def _year(text: str) -> int:
    year = int(text)
    if len(text) >= _YEAR_DIGITS:
        return year
    return year + (2000 if year <= _LAST_OF_TWO_DIGITS else 1900)


def _index(word: str, names: list[str]) -> int | None:
    """The index of the name that the word is, in full or abbreviated."""
    for number, name in enumerate(names):
        if word in {name, name[:_ABBREVIATION]}:
            return number
    return None

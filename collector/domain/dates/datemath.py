"""Moments as people write them: dates of any precision and date math, as spans of time (contract 5).

`2026-11-22` is a whole day and `2026-11-22T10:00` a minute. `now-1d` is an instant, `now/d` is today. What
names no offset is local to whoever asks.
"""

import calendar
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

_TICK: Final = timedelta(microseconds=1)
_LAST: Final = datetime.max.replace(tzinfo=UTC)
_DATE: Final = re.compile(
    r"(\d{4})(?:-(\d{2})(?:-(\d{2})(?:[T ](\d{2})(?::(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?)?)?)?)?"
    r"(Z|[+-]\d{2}:?\d{2})?",
    re.IGNORECASE,
)
_STEP: Final = re.compile(r"([+-])(\d{1,6})([yMwdDhHms])|/([yMwdDhHms])")
_MICROSECOND_DIGITS: Final = 6
_MONTHS_OF_A_YEAR: Final = 12
_LENGTHS: Final = {
    "w": timedelta(weeks=1),
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
}
_FIRST: Final = [1, 1, 1, 0, 0, 0]
"""What a part of a date is that is not given."""
_A_DAY_STARTS: Final = {"hour": 0, "minute": 0, "second": 0, "microsecond": 0}
_STARTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "y": {"month": 1, "day": 1} | _A_DAY_STARTS,
    "M": {"day": 1} | _A_DAY_STARTS,
    "d": _A_DAY_STARTS,
    "h": {"minute": 0, "second": 0, "microsecond": 0},
    "m": {"second": 0, "microsecond": 0},
    "s": {"microsecond": 0},
}
_PRECISIONS: Final = ("y", "M", "d", "h", "m", "s")


@dataclass(frozen=True, slots=True)
class Span:
    """From `begin` up to but not including `end`."""

    begin: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class LocalClock:
    """What time it is for whoever asks: `now` is in UTC, `offset` is his distance from it."""

    now: datetime
    offset: timedelta = timedelta()

    @property
    def local_now(self) -> datetime:
        """The same moment with his offset."""
        return self.now.astimezone(timezone(self.offset))


def parse_span(text: str, clock: LocalClock) -> Span | None:
    """The time that a text names, in UTC; None when it names none."""
    anchor, _, math = text.strip().partition("||")
    if anchor.lower().startswith("now"):
        begin, unit, math = clock.local_now, "", anchor[3:] + math
    else:
        found = _date(anchor, clock)
        if found is None:
            return None
        begin, unit = found
    try:
        return _moved(begin, unit, math)
    except (OverflowError, ValueError):
        return None


def start_of(moment: datetime, unit: str) -> datetime:
    """When the year, month, week (on Monday), day ... that holds the moment began."""
    if unit == "w":
        moment, unit = moment - timedelta(days=moment.weekday()), "d"
    return moment.replace(**_STARTS[unit])


def moved(moment: datetime, number: int, unit: str) -> datetime:
    """So many units later; the 31st of a shorter month is its last day. Raises OverflowError, ValueError."""
    if unit not in {"y", "M"}:
        return moment + number * _LENGTHS[unit]
    months = moment.year * _MONTHS_OF_A_YEAR + moment.month - 1
    months += number * (_MONTHS_OF_A_YEAR if unit == "y" else 1)
    year, month = divmod(months, _MONTHS_OF_A_YEAR)
    last = calendar.monthrange(year, month + 1)[1]
    return moment.replace(year=year, month=month + 1, day=min(moment.day, last))


def _moved(begin: datetime, unit: str, math: str) -> Span | None:
    """The span after all steps; the last rounding says how long it is."""
    place = 0
    while place < len(math):
        step = _STEP.match(math, place)
        if step is None:
            return None
        place = step.end()
        if step[4]:
            unit = _unit(step[4])
            begin = start_of(begin, unit)
        else:
            begin = moved(begin, int(step[1] + step[2]), _unit(step[3]))
    return Span(begin.astimezone(UTC), _end(begin, unit).astimezone(UTC))


def _unit(letter: str) -> str:
    """Only months and minutes differ by their case."""
    return letter if letter in "mM" else letter.lower()


def _end(begin: datetime, unit: str) -> datetime:
    """When it is over; the last of all times are with the calendar: people write 9999-12-31 for ever."""
    with suppress(OverflowError, ValueError):
        return _end_in_calendar(begin, unit)
    return _LAST


def _end_in_calendar(begin: datetime, unit: str) -> datetime:
    if not unit:
        return begin + _TICK
    return begin + timedelta(seconds=float(unit)) if unit.startswith("0.") else moved(begin, 1, unit)


def _date(text: str, clock: LocalClock) -> tuple[datetime, str] | None:
    """The beginning of a date and its precision: a unit, or a fraction of a second."""
    found = _DATE.fullmatch(text)
    if found is None:
        return None
    *parts, fraction, offset = found.groups()
    given = [int(part) for part in parts if part is not None]
    year, month, day, hour, minute, second = given + _FIRST[len(given) :]
    microseconds = int((fraction or "")[:_MICROSECOND_DIGITS].ljust(_MICROSECOND_DIGITS, "0"))
    try:
        zone = timezone(clock.offset) if offset is None else _zone(offset)
        begin = datetime(year, month, day, hour, minute, second, microseconds, zone)
    except ValueError:
        return None
    if fraction:
        return begin, f"0.{'1'.zfill(min(len(fraction), _MICROSECOND_DIGITS))}"
    return begin, _PRECISIONS[len(given) - 1]


def _zone(text: str) -> timezone:
    if text.upper() == "Z":
        return UTC
    minutes = int(text[1:3]) * 60 + int(text[-2:])
    return timezone(timedelta(minutes=-minutes if text.startswith("-") else minutes))

"""Date math: dates of any precision, with arithmetic and rounding, as spans of time (contract 5).

`2026-11-22` is a whole day and `2026-11-22T10:00` a minute; `now-1d` is an instant and `now/d` is today.
Dates without a UTC offset are in the client's local time.
"""

import calendar
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

_TICK: Final = timedelta(microseconds=1)
_END_OF_CALENDAR: Final = datetime.max.replace(tzinfo=UTC)
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
_DEFAULT_PARTS: Final = [1, 1, 1, 0, 0, 0]
"""Year, month, day, hour, minute and second where a date omits them."""
_MIDNIGHT: Final = {"hour": 0, "minute": 0, "second": 0, "microsecond": 0}
_STARTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "y": {"month": 1, "day": 1} | _MIDNIGHT,
    "M": {"day": 1} | _MIDNIGHT,
    "d": _MIDNIGHT,
    "h": {"minute": 0, "second": 0, "microsecond": 0},
    "m": {"second": 0, "microsecond": 0},
    "s": {"microsecond": 0},
}
_PRECISIONS: Final = ("y", "M", "d", "h", "m", "s")


@dataclass(frozen=True, slots=True)
class Span:
    """A span of time, `end` excluded."""

    begin: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class LocalClock:
    """The client's clock: `now` is in UTC, `offset` is the client's distance from UTC."""

    now: datetime
    offset: timedelta = timedelta()

    @property
    def local_now(self) -> datetime:
        """`now` with the client's offset."""
        return self.now.astimezone(timezone(self.offset))


def parse_span(text: str, clock: LocalClock) -> Span | None:
    """Parse a date or date math as a span in UTC; None if the text is neither."""
    # `now-1d/d` or `2026-11-22||-1d/d`
    anchor, _, math = text.strip().partition("||")
    if anchor.lower().startswith("now"):
        begin, unit, math = clock.local_now, "", anchor[3:] + math
    else:
        found = _parse_date(anchor, clock)
        if found is None:
            return None
        begin, unit = found
    try:
        return _apply_math(begin, unit, math)
    except (OverflowError, ValueError):  # outside the calendar
        return None


def truncate(moment: datetime, unit: str) -> datetime:
    """The start of the year, month, week (Monday), day ... that contains the moment."""
    if unit == "w":
        moment, unit = moment - timedelta(days=moment.weekday()), "d"
    return moment.replace(**_STARTS[unit])


def add_units(moment: datetime, number: int, unit: str) -> datetime:
    """Add a number of units; the day is clamped to the month's last. Raises OverflowError, ValueError."""
    if unit not in {"y", "M"}:
        return moment + number * _LENGTHS[unit]
    months = moment.year * _MONTHS_OF_A_YEAR + moment.month - 1
    months += number * (_MONTHS_OF_A_YEAR if unit == "y" else 1)
    year, month = divmod(months, _MONTHS_OF_A_YEAR)
    last = calendar.monthrange(year, month + 1)[1]
    return moment.replace(year=year, month=month + 1, day=min(moment.day, last))


def _apply_math(begin: datetime, unit: str, math: str) -> Span | None:
    """Apply all steps; the last rounding, or else the anchor's precision, is the length of the span."""
    position = 0
    while position < len(math):
        step = _STEP.match(math, position)
        if step is None:
            return None
        position = step.end()
        if step[4]:
            unit = _unit(step[4])
            begin = truncate(begin, unit)
        else:
            begin = add_units(begin, int(step[1] + step[2]), _unit(step[3]))
    # People write 9999-12-31 for "no end": its end is the last moment of the calendar.
    end = _END_OF_CALENDAR
    with suppress(OverflowError, ValueError):
        if not unit:
            end = begin + _TICK
        elif unit.startswith("0."):  # a fraction of a second
            end = begin + timedelta(seconds=float(unit))
        else:
            end = add_units(begin, 1, unit)
    return Span(begin.astimezone(UTC), end.astimezone(UTC))


def _unit(letter: str) -> str:
    """The unit of a letter: only `M` (months) and `m` (minutes) depend on case."""
    return letter if letter in "mM" else letter.lower()


def _parse_date(text: str, clock: LocalClock) -> tuple[datetime, str] | None:
    """The start of a date and its precision: a unit, or a fraction of a second like `0.001`."""
    found = _DATE.fullmatch(text)
    if found is None:
        return None
    *parts, fraction, offset = found.groups()
    numbers = [int(part) for part in parts if part is not None]
    year, month, day, hour, minute, second = numbers + _DEFAULT_PARTS[len(numbers) :]
    microseconds = int((fraction or "")[:_MICROSECOND_DIGITS].ljust(_MICROSECOND_DIGITS, "0"))
    try:
        if offset is None:
            zone = timezone(clock.offset)
        elif offset in "Zz":
            zone = UTC
        else:  # +0130 or +01:30
            distance = timedelta(hours=int(offset[1:3]), minutes=int(offset[-2:]))
            zone = timezone(-distance if offset.startswith("-") else distance)
        begin = datetime(year, month, day, hour, minute, second, microseconds, zone)
    except ValueError:
        return None
    if fraction:
        return begin, f"0.{'1'.zfill(min(len(fraction), _MICROSECOND_DIGITS))}"
    return begin, _PRECISIONS[len(numbers) - 1]

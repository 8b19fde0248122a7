"""The query parameters `time` and `offset` (contract 4).

`last 24 hours`, `today`, `this week`, `2026-01-01-2026-02-01`, `[now-1d TO now]`, any one date; `all`.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from collector.domain.dates.datemath import LocalClock, add_units, parse_span, truncate
from collector.domain.errors import BadRequest

_FIELD: Final = "date"
_EVERYTHING: Final = frozenset({"", "all", "*"})
_UNIT: Final = r"(second|minute|hour|day|week|month|year)s?"
_LAST: Final = re.compile(rf"(?:last|past|previous)\s+(\d{{1,5}}\s+)?{_UNIT}")
_THIS: Final = re.compile(rf"this\s+{_UNIT}")
_BRACKETS: Final = re.compile(r"([\[{]?)\s*(\S+)\s+TO\s+(\S+?)\s*([\]}]?)", re.IGNORECASE)
_DATES: Final = re.compile(
    r"(\d{4}-\d{2}(?:-\d{2})?(?:T[\d:.]+)?(?:Z)?)\s*-\s*(\d{4}.*|now.*)", re.IGNORECASE
)
_OFFSET: Final = re.compile(r"([+-]?)(\d{1,5}(?:\.\d{1,3})?)(d|h|m|s|ms)")
_OFFSET_CLOCK: Final = re.compile(r"([+-]?)(\d{1,2}):(\d{2})(?::\d{2})?")
_LETTERS: Final = {
    "second": "s",
    "minute": "m",
    "hour": "h",
    "day": "d",
    "week": "w",
    "month": "M",
    "year": "y",
}
_SECONDS: Final = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_A_DAY: Final = timedelta(days=1)
_MINUTE: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class TimeRange:
    """From `begin` up to but not including `end`, in UTC; None is unbounded."""

    begin: datetime | None = None
    end: datetime | None = None


def parse_time_range(text: str, clock: LocalClock) -> TimeRange:
    """Parse the parameter `time`. Raises BadRequest."""
    field, bar, range_text = text.rpartition("|")
    if bar and field.strip().lower() != _FIELD:
        raise BadRequest("The parameter `time` supports only the field `date`.")
    try:
        found = _parse_range(range_text.strip(), clock)
    except (OverflowError, ValueError):
        found = None
    if found is None:
        raise BadRequest(
            "The parameter `time` must be a range like `last 24 hours`, `today`, `this week`,"
            " `2026-01-01-2026-02-01` or `[now-1d TO now]`."
        )
    return found


def parse_offset(text: str) -> timedelta:
    """Parse a UTC offset such as `-300m`, `-6h` or `+05:30`, in whole minutes. Raises BadRequest."""
    if found := _OFFSET.fullmatch(text.strip().lower()):
        offset = timedelta(seconds=float(found[2]) * _SECONDS[found[3]])
    elif found := _OFFSET_CLOCK.fullmatch(text.strip()):
        offset = timedelta(hours=int(found[2]), minutes=int(found[3]))
    if not found or offset >= _A_DAY:
        raise BadRequest(
            "The parameter `offset` must be a time span of less than a day, like `-300m` or `+2h`."
        )
    offset -= offset % _MINUTE
    return -offset if found[1] == "-" else offset


def _parse_range(text: str, clock: LocalClock) -> TimeRange | None:
    words = " ".join(text.lower().split())
    if words in _EVERYTHING:
        return TimeRange()
    now = clock.local_now
    if found := _LAST.fullmatch(words):
        # Without an end: the clock of an ingest process may run a little ahead of ours.
        return TimeRange(add_units(now, -int(found[1] or 1), _LETTERS[found[2]]).astimezone(UTC))
    if found := _THIS.fullmatch(words):
        begin = truncate(now, _LETTERS[found[1]])
        return _utc(begin, add_units(begin, 1, _LETTERS[found[1]]))
    if words in {"today", "yesterday"}:
        begin = add_units(truncate(now, "d"), -(words == "yesterday"), "d")
        return _utc(begin, add_units(begin, 1, "d"))
    return _parse_dates(text, clock)


def _parse_dates(text: str, clock: LocalClock) -> TimeRange | None:
    """Any one date, `[a TO b]` or `a-b`."""
    if whole := parse_span(text, clock):
        return TimeRange(whole.begin, whole.end)
    # A square bracket includes the whole span of its date, a curly one excludes it; `*` is unbounded.
    if found := _BRACKETS.fullmatch(text):
        begin = end = None
        if found[2] != "*":
            if (low := parse_span(found[2], clock)) is None:
                return None
            begin = low.end if found[1] == "{" else low.begin
        if found[3] != "*":
            if (high := parse_span(found[3], clock)) is None:
                return None
            end = high.begin if found[4] == "}" else high.end
        return TimeRange(begin, end)
    if found := _DATES.fullmatch(text):
        first, last = parse_span(found[1], clock), parse_span(found[2].strip(), clock)
        return None if first is None or last is None else TimeRange(first.begin, last.end)
    return None


def _utc(begin: datetime, end: datetime) -> TimeRange:
    return TimeRange(begin.astimezone(UTC), end.astimezone(UTC))

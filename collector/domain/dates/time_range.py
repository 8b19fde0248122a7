"""The parameters `time` and `offset`: which time is asked for (contract 4).

`last 24 hours`, `today`, `this week`, `2026-01-01-2026-02-01`, `[now-1d TO now]`, any one date; `all`.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from collector.domain.dates.datemath import LocalClock, Span, moved, parse_span, start_of
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
    """From `begin` up to but not including `end`, in UTC; None is open."""

    begin: datetime | None = None
    end: datetime | None = None


def parse_time_range(text: str, clock: LocalClock) -> TimeRange:
    """The range that the parameter `time` names. Raises BadRequest."""
    field, bar, range_text = text.rpartition("|")
    if bar and field.strip().lower() != _FIELD:
        raise BadRequest("The parameter `time` can only be about the field `date`.")
    try:
        found = _range(range_text.strip(), clock)
    except (OverflowError, ValueError):
        found = None
    if found is None:
        raise BadRequest(
            "The parameter `time` must be a range like `last 24 hours`, `today`, `this week`,"
            " `2026-01-01-2026-02-01` or `[now-1d TO now]`."
        )
    return found


def parse_offset(text: str) -> timedelta:
    """The distance from UTC that `offset` names: `-300m`, `-6h`, `+05:30`. Raises BadRequest."""
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


def _range(text: str, clock: LocalClock) -> TimeRange | None:
    words = " ".join(text.lower().split())
    if words in _EVERYTHING:
        return TimeRange()
    now = clock.local_now
    if found := _LAST.fullmatch(words):
        # Until whatever is newest: an ingest process's clock may run a little ahead of ours.
        return TimeRange(moved(now, -int(found[1] or 1), _LETTERS[found[2]]).astimezone(UTC))
    if found := _THIS.fullmatch(words):
        begin = start_of(now, _LETTERS[found[1]])
        return _utc(begin, moved(begin, 1, _LETTERS[found[1]]))
    if words in {"today", "yesterday"}:
        begin = moved(start_of(now, "d"), -(words == "yesterday"), "d")
        return _utc(begin, moved(begin, 1, "d"))
    return _written_range(text, clock)


def _written_range(text: str, clock: LocalClock) -> TimeRange | None:
    if whole := parse_span(text, clock):
        return TimeRange(whole.begin, whole.end)
    if found := _BRACKETS.fullmatch(text):
        (low_known, low), (high_known, high) = _end(found[2], clock), _end(found[3], clock)
        if not (low_known and high_known):
            return None
        begin = None if low is None else (low.end if found[1] == "{" else low.begin)
        return TimeRange(begin, None if high is None else (high.begin if found[4] == "}" else high.end))
    if found := _DATES.fullmatch(text):
        first, last = parse_span(found[1], clock), parse_span(found[2].strip(), clock)
        return None if first is None or last is None else TimeRange(first.begin, last.end)
    return None


def _end(text: str, clock: LocalClock) -> tuple[bool, Span | None]:
    """One end of a range: whether it is understood, and its span, which an open end has not."""
    if text == "*":
        return True, None
    span = parse_span(text, clock)
    return span is not None, span


def _utc(begin: datetime, end: datetime) -> TimeRange:
    return TimeRange(begin.astimezone(UTC), end.astimezone(UTC))

"""Windows of dates to search one after another, in the order of a list.

Most requested events are recent, and searching two partitions costs a fraction of searching hundreds. How
long a window is follows from the time that the one before it took: a rare match is looked for in few large
steps. A window that takes too long is cut, and no later one is as long, so that the search can stop soon.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from collector.domain.dates.time_range import TimeRange

_FIRST: Final = timedelta(days=1)
_SHORTEST: Final = timedelta(seconds=1)
_LONGEST: Final = timedelta(days=1500)
"""A longer window is the whole rest."""
_TARGET_SECONDS: Final = 0.5
_GROWTH: Final = (2.0, 8.0)
"""A window is always longer than the one before: its time may be that of planning."""
_CUT: Final = 8


class DateWindows:
    """Adjoining windows of a range: newest first, or oldest first, for which its begin must be known.

    Call `take` for a window, then `done` once it is searched, or `cut` to have a shorter one in its place.
    """

    def __init__(self, whole: TimeRange, now: datetime, *, is_newest_first: bool = True) -> None:
        self.rest: TimeRange | None = whole
        self._now = now
        self.is_newest_first = is_newest_first
        self._length = _FIRST
        self._bound = 2 * _LONGEST
        self._taken = whole

    def take(self) -> TimeRange | None:
        """The next window; None if there is nothing left."""
        if self.rest is None:
            return None
        self._taken = self._newest(self.rest) if self.is_newest_first else self._oldest(self.rest)
        return self._taken

    def done(self, seconds: float) -> None:
        """Go on behind the window, which took so long."""
        if self._taken == self.rest:
            self.rest = None
        elif self.rest is not None and self.is_newest_first:
            self.rest = replace(self.rest, end=self._taken.begin)
        elif self.rest is not None:
            self.rest = replace(self.rest, begin=self._taken.end)
        least, most = _GROWTH
        growth = min(max(_TARGET_SECONDS / max(seconds, 0.001), least), most)
        self._length = min(self._length * growth, self._bound)

    def cut(self) -> bool:
        """Make the window shorter, which took too long; False if it cannot be."""
        begin, end = self._taken.begin, self._taken.end
        covered = self._length if begin is None else min(end or self._now, self._now) - begin
        self._bound = min(self._length, covered) / 2
        self._length = min(self._length, covered) / _CUT
        return self._length >= _SHORTEST

    def _newest(self, rest: TimeRange) -> TimeRange:
        newest = self._now if rest.end is None else min(rest.end, self._now)
        try:
            begin = newest - self._length
        except OverflowError:
            return rest
        if self._length > _LONGEST or (rest.begin is not None and begin <= rest.begin):
            return rest
        return TimeRange(begin, rest.end)

    def _oldest(self, rest: TimeRange) -> TimeRange:
        if rest.begin is None:
            return rest
        try:
            end = rest.begin + self._length
        except OverflowError:
            return rest
        if self._length > _LONGEST or end >= (rest.end or self._now):
            return rest
        return TimeRange(rest.begin, end)

"""Windows of dates to search, newest first and widening into the past.

Most requested events are recent, and searching two partitions costs a fraction of searching hundreds.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from collector.domain.dates.time_range import TimeRange

_DAYS_BACK: Final = (1, 7, 30)


def widening_windows(whole: TimeRange, now: datetime) -> Iterator[TimeRange]:
    """Split the range into adjoining parts, newest first, each longer than the one before."""
    end = whole.end
    newest = now if end is None else min(end, now)
    for days in _DAYS_BACK:
        try:
            begin = newest - timedelta(days=days)
        except OverflowError:
            break
        if whole.begin is not None and begin <= whole.begin:
            break
        yield TimeRange(begin, end)
        end = begin
    yield TimeRange(whole.begin, end)

"""Windows of dates to look in: the newest first, then ever more of them.

Most of what is asked for is recent, and a look at two partitions costs a fraction of a look at hundreds.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from collector.domain.dates.time_range import TimeRange

_DAYS_BACK: Final = (1, 7, 30)


def widening_windows(whole: TimeRange, now: datetime) -> Iterator[TimeRange]:
    """The range in parts that meet, the newest first; each reaches further back than the one before."""
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

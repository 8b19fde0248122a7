"""The earliest and latest date of each partition's events, so that a search by date reads few partitions.

A partition is made with an empty row here. The store widens that row before it writes events, in a statement
of its own: whenever an event is visible, the dates of its partition include it, wherever a worker dies.
Nothing is cached: a partition may be dropped and made again, and a server may lose its last commits. Dates
are widened to whole hours, so that usually there is nothing to update.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from operator import attrgetter
from typing import Final
from uuid import UUID

import asyncpg

from collector.domain.dates.time_range import TimeRange
from collector.domain.event.outcome import Event
from collector.domain.ids import ids_of_day

_HOUR: Final = timedelta(hours=1)
_LAST: Final = datetime.max.replace(tzinfo=UTC)
_date: Final = attrgetter("date")

_WIDEN: Final = """
    UPDATE partition_dates SET smallest = least(smallest, $2), largest = greatest(largest, $3)
    WHERE day = $1 AND (smallest > $2 OR largest < $3)
"""
_WITH_DATES: Final = "SELECT min(day), max(day) FROM partition_dates WHERE smallest < $2 AND largest >= $1"

_EARLIEST: Final = """
    SELECT nullif(min(smallest), '-infinity') FROM partition_dates WHERE smallest < 'infinity'
"""


async def widen_partition_dates(connection: asyncpg.Connection, days: Mapping[date, Sequence[Event]]) -> None:
    """Widen the partitions' dates to include those of these events, by day of acceptance.

    Not to be called inside a transaction.
    """
    for day, events in days.items():
        dates = list(map(_date, events))
        if not dates:
            continue
        latest = max(dates)
        end = _hour(latest) + _HOUR if latest < _LAST - _HOUR else _LAST
        await connection.execute(_WIDEN, day, _hour(min(dates)), end)


async def id_range(connection: asyncpg.Connection, dates: TimeRange) -> tuple[UUID, UUID]:
    """The first id and the end of the ids of events with these dates; other events may lie in between."""
    begin = dates.begin or datetime.min.replace(tzinfo=UTC)
    first, last = await connection.fetchrow(_WITH_DATES, begin, dates.end or _LAST)
    if first is None:
        return UUID(int=0), UUID(int=0)
    return ids_of_day(first)[0], ids_of_day(last)[1]


async def earliest_date(connection: asyncpg.Connection) -> datetime | None:
    """A date before which there is no event; None if it is unknown or there are no events."""
    found: datetime | None = await connection.fetchval(_EARLIEST)
    return found


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)

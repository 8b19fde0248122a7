"""Between which dates the events of each partition lie.

Whoever asks for some dates looks into few partitions.

A partition's row is made with it, empty. Whoever stores events widens it before, in a statement of its own,
so that whoever sees an event sees dates that hold it, wherever a worker dies. Nothing is remembered of it: a
partition may be dropped and made again, and a server may come back without what it last said. Dates are
widened by whole hours: as a rule the statement finds nothing to do.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from operator import attrgetter
from typing import Final
from uuid import UUID

import asyncpg

from collector.domain.dates.time_range import TimeRange
from collector.domain.event.outcome import Event
from collector.domain.ids import lowest_id

_DAY: Final = timedelta(days=1)
_HOUR: Final = timedelta(hours=1)
_LAST: Final = datetime.max.replace(tzinfo=UTC)
_date: Final = attrgetter("date")

_WIDEN: Final = """
    UPDATE partition_dates SET smallest = least(smallest, $2), largest = greatest(largest, $3)
    WHERE day = $1 AND (smallest > $2 OR largest < $3)
"""
_WITH_DATES: Final = "SELECT min(day), max(day) FROM partition_dates WHERE smallest < $2 AND largest >= $1"


async def widen_partition_dates(connection: asyncpg.Connection, days: Mapping[date, Sequence[Event]]) -> None:
    """Let the dates of partitions hold those of these events, by day of acceptance.

    Not inside a transaction.
    """
    for day, events in days.items():
        dates = list(map(_date, events))
        if dates:
            await connection.execute(_WIDEN, day, _hour_of(min(dates)), _hour_after(max(dates)))


async def ids_of_dates(connection: asyncpg.Connection, dates: TimeRange) -> tuple[UUID, UUID]:
    """From which id on and up to which one the events of these dates are; there may be others between."""
    begin = dates.begin or datetime.min.replace(tzinfo=UTC)
    first, last = await connection.fetchrow(_WITH_DATES, begin, dates.end or _LAST)
    if first is None:
        return UUID(int=0), UUID(int=0)
    return _first_id(first), _first_id(last + _DAY)


def _first_id(day: date) -> UUID:
    return lowest_id(datetime.combine(day, time(), UTC))


def _hour_of(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _hour_after(moment: datetime) -> datetime:
    return _hour_of(moment) + _HOUR if moment < _LAST - _HOUR else _LAST

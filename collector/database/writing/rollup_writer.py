"""Counts the events of one transaction in the rollups by hour.

Comes right after the totals of the stacks: a row here belongs to a stack whose row is locked by then, so it
adds no further waiting. One statement for the whole transaction, whose rows are made from the groups by stack
that the totals need anyway.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import date, datetime
from operator import attrgetter
from typing import Any, Final, NamedTuple
from uuid import UUID

import asyncpg

from collector.database.chunks import chunked
from collector.database.schema.rollups import OUTDATE_DAYS, lock_days
from collector.domain.event.outcome import Event
from collector.domain.ids import accepted_at

_type: Final = attrgetter("type")

_ADD: Final = f"""
    WITH outdated AS ({OUTDATE_DAYS})
    INSERT INTO event_hours AS h (day, project_id, stack_id, type, is_first_occurrence, begin_utc,
                                  events, counted, count_sum, earliest, latest)
    SELECT * FROM unnest($1::date[], $2::uuid[], $3::uuid[], $4::text[], $5::boolean[], $6::timestamptz[],
                         $7::bigint[], $8::bigint[], $9::bigint[], $10::timestamptz[], $11::timestamptz[])
    ON CONFLICT (day, project_id, stack_id, type, is_first_occurrence, begin_utc) DO UPDATE SET
        events = h.events + excluded.events,
        counted = h.counted + excluded.counted,
        count_sum = h.count_sum + excluded.count_sum,
        earliest = least(h.earliest, excluded.earliest),
        latest = greatest(h.latest, excluded.latest)
"""  # noqa: S608 - constants only


class StoredOfStack(NamedTuple):
    """The events of one stack that a transaction stores, and the earliest and latest of their dates."""

    events: Sequence[Event]
    first: datetime
    last: datetime
    has_first_occurrence: bool


async def add_rollups(
    connection: asyncpg.Connection, stacks: Iterable[StoredOfStack], days: Collection[date]
) -> None:
    """Add stored events to the rollups; `days` are those on which they were accepted, or more."""
    rows = sorted(row for stack in stacks for row in _rows(stack, days))
    if not rows:
        return
    await lock_days(connection, days)
    for chunk in chunked(rows):
        await connection.execute(_ADD, *(list(column) for column in zip(*chunk, strict=True)))


def _rows(stack: StoredOfStack, days: Collection[date]) -> Iterator[tuple[Any, ...]]:
    events, hour = stack.events, _hour(stack.first)
    # Nearly always they are of one hour, one type and one day of acceptance: a single row.
    if (
        len(days) == 1
        and not stack.has_first_occurrence
        and hour == _hour(stack.last)
        and len(set(map(_type, events))) == 1
    ):
        yield _row((min(days), False, events[0].type, hour), events, stack.first, stack.last)
        return
    groups: defaultdict[tuple[date, bool, str, datetime], list[Event]] = defaultdict(list)
    for event in events:
        day = accepted_at(event.id).date()
        groups[day, event.is_first_occurrence, event.type, _hour(event.date)].append(event)
    for key, group in groups.items():
        dates = [event.date for event in group]
        yield _row(key, group, min(dates), max(dates))


def _row(
    key: tuple[date, bool, str, datetime], events: Sequence[Event], first: datetime, last: datetime
) -> tuple[Any, ...]:
    day, is_first_occurrence, type_, hour = key
    some = events[0]
    counts = [event.count for event in events if event.count is not None]
    return (
        day,
        UUID(bytes=some.project_id),
        UUID(bytes=some.stack.id),
        type_,
        is_first_occurrence,
        hour,
        len(events),
        len(counts),
        sum(counts),
        first,
        last,
    )


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)

"""Appends what one transaction adds to the rollups by hour: one row for a day, project and type.

Its arrays have an element for each stack and hour, made from the groups by stack that the stacks' totals need
anyway. Nothing is locked and no index of hours is touched; `schema/rollup_changes` folds the rows in later.
"""

import struct
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta
from operator import attrgetter
from typing import Final, NamedTuple

import asyncpg

from collector.database.writing.copy_format import (
    COPY_END,
    COPY_HEAD,
    NULL,
    copy_array,
    copy_text,
    microseconds,
)
from collector.domain.event.outcome import Event
from collector.domain.ids import accepted_at

_COLUMNS: Final = (
    "day", "project_id", "type", "is_first_occurrence", "changes",
    "stack_ids", "events", "counted", "count_sums", "earliest", "latest",
)  # fmt: skip
_EPOCH: Final = date(2000, 1, 1)
_HOUR: Final = timedelta(hours=1)
_BIGINT: Final = 20
_INTEGER: Final = 23
_TIMESTAMPTZ: Final = 1184
_UUID: Final = 2950

_type: Final = attrgetter("type")
_head = struct.Struct("!hiii16s").pack
_tail = struct.Struct("!i?ii").pack
_integer = struct.Struct("!i").pack
_bigint = struct.Struct("!q").pack

_Key = tuple[date, bytes, str, bool]


class StoredOfStack(NamedTuple):
    """The events of one stack that a transaction stores, and the earliest and latest of their dates."""

    events: Sequence[Event]
    first: datetime
    last: datetime
    has_first_occurrence: bool


class _Change(NamedTuple):
    """Events of one stack and hour."""

    stack_id: bytes
    events: int
    counts: Sequence[int]
    first: datetime
    last: datetime


async def add_rollups(
    connection: asyncpg.Connection, stacks: Iterable[StoredOfStack], days: Collection[date]
) -> None:
    """Add stored events to the rollups; `days` are those on which they were accepted, or more."""
    changes: defaultdict[_Key, list[_Change]] = defaultdict(list)
    day = next(iter(days)) if len(days) == 1 else None
    for stack in stacks:
        events, first, last = stack.events, stack.first, stack.last
        type_ = events[0].type
        # Nearly always they are of one day of acceptance, one hour and one type: a single element.
        if (
            day is not None
            and not stack.has_first_occurrence
            and (len(events) == 1 or (_same_hour(first, last) and len(set(map(_type, events))) == 1))
        ):
            changes[day, events[0].project_id, type_, False].append(_change(events, first, last))
        else:
            for key, change in _by_hour(events):
                changes[key].append(change)
    if changes:
        await connection.copy_to_table(
            "event_hour_changes", source=_copy(changes.items()), columns=_COLUMNS, format="binary"
        )


def _same_hour(first: datetime, last: datetime) -> bool:
    return first.hour == last.hour and last - first < _HOUR


def _by_hour(events: Sequence[Event]) -> Iterator[tuple[_Key, _Change]]:
    """Changes of a stack whose events differ."""
    groups: defaultdict[tuple[_Key, datetime], list[Event]] = defaultdict(list)
    for event in events:
        key = accepted_at(event.id).date(), event.project_id, event.type, event.is_first_occurrence
        groups[key, event.date.replace(minute=0, second=0, microsecond=0)].append(event)
    for (key, _), group in groups.items():
        dates = [event.date for event in group]
        yield key, _change(group, min(dates), max(dates))


def _change(events: Sequence[Event], first: datetime, last: datetime) -> _Change:
    counts = [event.count for event in events if event.count is not None]
    return _Change(events[0].stack.id, len(events), counts, first, last)


async def _copy(groups: Iterable[tuple[_Key, Sequence[_Change]]]) -> AsyncIterator[bytes]:
    yield COPY_HEAD
    for key, changes in groups:
        yield _row(key, changes)
    yield COPY_END


def _row(key: _Key, changes: Sequence[_Change]) -> bytes:
    day, project_id, type_, is_first = key
    stack_ids, events, counts, firsts, lasts = zip(*changes, strict=True)
    counted = count_sums = NULL
    if any(counts):
        counted = copy_array(_INTEGER, 4, [_integer(len(each)) for each in counts])
        count_sums = copy_array(_BIGINT, 8, [_bigint(sum(each)) for each in counts])
    earliest = [_bigint(microseconds(first)) for first in firsts]
    # Single events are the rule where stacks are many: their date is packed once.
    latest = [
        packed if last is first else _bigint(microseconds(last))
        for packed, first, last in zip(earliest, firsts, lasts, strict=True)
    ]
    return b"".join(
        (
            _head(len(_COLUMNS), 4, (day - _EPOCH).days, 16, project_id),
            copy_text(type_),
            _tail(1, is_first, 4, len(changes)),
            copy_array(_UUID, 16, stack_ids),
            copy_array(_INTEGER, 4, list(map(_integer, events))),
            counted,
            count_sums,
            copy_array(_TIMESTAMPTZ, 8, earliest),
            copy_array(_TIMESTAMPTZ, 8, latest),
        )
    )

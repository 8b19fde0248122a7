"""Counts of events: how many a selection holds, and what is found out of them, in buckets within buckets.

One statement for all of a level: what stands side by side in the same buckets is found out in one pass.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import asyncpg

from collector.database.event_lists import Selection, located, where
from collector.database.filter_sql import CAUSES, Arguments
from collector.domain.aggregation import Aggregation, Interval, Operator, interval_of, size_of
from collector.domain.errors import BadRequest
from collector.domain.filter_fields import Column, ErrorMember, Member, Place, StackColumn
from collector.domain.moments import moved

MAXIMUM_DATES: Final = 2000
"""Buckets of dates in one list."""
MAXIMUM_BUCKETS: Final = 10_000
"""Of one aggregation in all."""

_ORIGIN: Final = datetime(2000, 1, 3, tzinfo=UTC)
"""Where buckets are counted from: a Monday."""
_EARLIEST: Final = "timestamptz '0001-01-01 00:00:00.000001+00'"
"""No bucket begins before the calendar does; its very first moment is the driver's word for -infinity."""
_NO_TIME: Final = timedelta()
_FUNCTIONS: Final = {
    Operator.AVERAGE: "avg",
    Operator.SUM: "sum",
    Operator.MINIMUM: "min",
    Operator.MAXIMUM: "max",
}
_CALENDAR: Final = {"M": "month", "q": "quarter", "y": "year"}
_LENGTHS: Final = (
    timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15), timedelta(hours=1), timedelta(hours=6),
    timedelta(days=1), timedelta(days=7), timedelta(days=30),
)  # fmt: skip
_FEW_BUCKETS: Final = 100

Keys = tuple[Any, ...]


@dataclass(slots=True)
class Bucket:
    """Events with the same key: how many, and what is found out of them by the aggregations' keys."""

    key: Any = None
    total: int = 0
    values: dict[str, Any] = field(default_factory=dict)
    buckets: "dict[str, list[Bucket]]" = field(default_factory=dict)


async def count_in_buckets(
    connection: asyncpg.Connection, selection: Selection, aggregations: Sequence[Aggregation]
) -> Bucket:
    """The whole selection as one bucket, with what the aggregations find out of it."""
    whole = Bucket()
    await _fill(connection, await located(connection, selection), (), {(): whole}, aggregations)
    return whole


async def _fill(
    connection: asyncpg.Connection,
    selection: Selection,
    path: tuple[Aggregation, ...],
    parents: Mapping[Keys, Bucket],
    parts: Sequence[Aggregation],
) -> None:
    """Find out the parts of all buckets of one path, then go into those that have buckets themselves."""
    if not path:
        await _take(connection, selection, path, parents, [part for part in parts if _is_plain(part)])
    for part in parts:
        if not parents or _is_plain(part):
            continue
        if part.has_buckets:
            inner = await _buckets(connection, selection, (*path, part), parents)
            await _fill(connection, selection, (*path, part), inner, part.parts)
        else:  # of a list, by itself: it multiplies the events
            await _take(connection, selection, path, parents, [part])


async def _take(
    connection: asyncpg.Connection,
    selection: Selection,
    path: tuple[Aggregation, ...],
    buckets: Mapping[Keys, Bucket],
    values: Sequence[Aggregation],
) -> None:
    """Find out the values of all buckets of a path in one pass."""
    for bucket in buckets.values():
        bucket.values |= {part.key: _of_nothing(part) for part in values}
    for keys, row in await _rows(connection, selection, path, values, within=buckets):
        buckets[keys].values |= _values(row, values)
        if not path and not any(map(_is_list, values)):
            buckets[keys].total = row["total"]


async def _buckets(
    connection: asyncpg.Connection,
    selection: Selection,
    path: tuple[Aggregation, ...],
    parents: Mapping[Keys, Bucket],
) -> dict[Keys, Bucket]:
    """Make the buckets of the path's last part in each of its parents; the largest, or in order of date."""
    last, found = path[-1], dict[Keys, Bucket]()
    values = [part for part in last.parts if _is_plain(part)]
    for parent in parents.values():
        parent.buckets[last.key] = []
    for keys, row in await _rows(connection, selection, path, values, within=parents, is_ranked=True):
        found[keys] = Bucket(keys[-1], row["total"], _values(row, values))
        parents[keys[:-1]].buckets[last.key].append(found[keys])
    if len(found) > MAXIMUM_BUCKETS:
        raise BadRequest(f"The aggregation `{last.key}` has more than {MAXIMUM_BUCKETS} buckets.")
    if last.operator is Operator.DATE:
        interval, gaps = _interval(last, selection), MAXIMUM_BUCKETS // len(parents)
        for keys, parent in parents.items():
            parent.buckets[last.key] = list(_without_gaps(parent.buckets[last.key], interval, gaps))
            for bucket in parent.buckets[last.key]:
                bucket.values = bucket.values or {part.key: _of_nothing(part) for part in values}
            found |= {(*keys, bucket.key): bucket for bucket in parent.buckets[last.key]}
    return found


async def _rows(
    connection: asyncpg.Connection,
    selection: Selection,
    path: Sequence[Aggregation],
    values: Sequence[Aggregation],
    *,
    within: Collection[Keys],
    is_ranked: bool = False,
) -> list[tuple[Keys, asyncpg.Record]]:
    """A row for each bucket of the path in these: its keys, how many events it has, and its values."""
    arguments = Arguments()
    condition = where(selection, arguments)
    keys = [_key(part, selection, arguments) for part in path]
    columns = [f"{key} AS k{number}" for number, key in enumerate(keys)]
    columns += ["count(*) AS total"]
    columns += [f"{_value(part, arguments)} AS v{number}" for number, part in enumerate(values)]
    names = [f"k{number}" for number in range(len(keys))]
    statement = f"SELECT {', '.join(columns)} FROM events AS e{_lists(path, values)} WHERE {condition}"  # noqa: S608
    statement += "".join(f" AND {key} IS NOT NULL" for key in keys)
    if names:
        statement += f" GROUP BY {', '.join(names)}"
    statement = _within(statement, path, within, arguments)
    if is_ranked:
        statement = _ranked(statement, names, path[-1], arguments)
    rows = await connection.fetch(statement, *arguments.values)
    return [(tuple(row[name] for name in names), row) for row in rows]


def _within(
    statement: str, path: Sequence[Aggregation], outer: Collection[Keys], arguments: Arguments
) -> str:
    """The same without what lies in other buckets than these, which nobody is shown.

    Left in, it would take the room of what is shown.
    """
    columns = list(zip(*outer, strict=True))
    if not columns:
        return statement
    names = ", ".join(f"k{number}" for number in range(len(columns)))
    keys = ", ".join(
        f"{arguments.add(list(column))}::{'timestamptz' if part.operator is Operator.DATE else 'text'}[]"
        for column, part in zip(columns, path, strict=False)
    )
    return f"SELECT * FROM ({statement}) AS g WHERE ({names}) IN (SELECT * FROM unnest({keys}))"  # noqa: S608


def _ranked(statement: str, names: Sequence[str], last: Aggregation, arguments: Arguments) -> str:
    """The same with no more buckets in each parent than its part may have, the first of them first."""
    is_date = last.operator is Operator.DATE
    order = f"{names[-1]} DESC" if is_date else f"total DESC, {names[-1]}"
    window = f"PARTITION BY {', '.join(names[:-1])} " if names[:-1] else ""
    size = arguments.add(MAXIMUM_DATES if is_date else size_of(last))
    ranked = f"SELECT *, row_number() OVER ({window}ORDER BY {order}) AS rank FROM ({statement}) AS b"  # noqa: S608
    shown = names[-1] if is_date else f"total DESC, {names[-1]}"
    most = arguments.add(MAXIMUM_BUCKETS + 1)
    return f"SELECT * FROM ({ranked}) AS r WHERE rank <= {size} ORDER BY {shown} LIMIT {most}"  # noqa: S608


def _is_plain(part: Aggregation) -> bool:
    """Whether it is one value that is found out along with others."""
    return not part.has_buckets and not _is_list(part)


def _of_nothing(part: Aggregation) -> int | None:
    """What is found out of no events."""
    return 0 if part.operator is Operator.CARDINALITY else None


def _values(row: asyncpg.Record, parts: Sequence[Aggregation]) -> dict[str, Any]:
    return {part.key: row[f"v{number}"] for number, part in enumerate(parts)}


def _value(part: Aggregation, arguments: Arguments) -> str:
    if part.operator is Operator.CARDINALITY:
        return f"count(DISTINCT {'counted.v' if _is_list(part) else _text(part.field.places, arguments)})"
    number = _column(part.field.places[0])
    if part.parameter.isdigit() and part.parameter.isascii():
        number = f"coalesce({number}, {arguments.add(part.parameter)}::text::numeric)"
    return f"{_FUNCTIONS[part.operator]}({number})::numeric"


def _key(part: Aggregation, selection: Selection, arguments: Arguments) -> str:
    if part.operator is Operator.DATE:
        return _date_key(_column(part.field.places[0]), _interval(part, selection), arguments)
    if _is_list(part):
        return "tag.v"
    return _text(part.field.places, arguments)


def _date_key(column: str, interval: Interval, arguments: Arguments) -> str:
    """The beginning of the bucket that a date falls into, in UTC."""
    offset = interval.offset or _NO_TIME
    if interval.length is not None:
        length, origin = arguments.add(interval.length), arguments.add(_ORIGIN - offset)
        return f"greatest(date_bin({length}::interval, {column}, {origin}::timestamptz), {_EARLIEST})"
    shift = f"{arguments.add(offset)}::interval"
    local = f"date_trunc('{_CALENDAR[interval.unit]}', ({column} AT TIME ZONE 'UTC') + {shift})"
    return f"greatest(({local} - {shift}) AT TIME ZONE 'UTC', {_EARLIEST})"


def _interval(part: Aggregation, selection: Selection) -> Interval:
    """What is asked for, else one that makes a readable chart of the selection's time."""
    asked = interval_of(part)
    offset = asked.offset if asked and asked.offset is not None else selection.clock.offset
    if asked and (asked.length or asked.unit):
        return Interval(asked.length, asked.unit, offset)
    begin = selection.time.begin
    if begin is None:
        return Interval(timedelta(days=1), offset=offset)
    covered = (selection.time.end or selection.clock.now) - begin
    fitting = (length for length in _LENGTHS if covered <= length * _FEW_BUCKETS)
    return Interval(next(fitting, _LENGTHS[-1]), offset=offset)


def _without_gaps(buckets: Sequence[Bucket], interval: Interval, most: int) -> Iterator[Bucket]:
    """The buckets and, between them, such as hold nothing; of these no more than `most`."""
    made = 0
    for number, bucket in enumerate(buckets):
        yield bucket
        following = buckets[number + 1].key if number + 1 < len(buckets) else bucket.key
        key = _next(bucket.key, interval)
        while key < following and made < most:
            yield Bucket(key)
            made += 1
            key = _next(key, interval)


def _next(key: datetime, interval: Interval) -> datetime:
    if interval.length is not None:
        return key + interval.length
    offset = interval.offset or _NO_TIME
    months = {"M": 1, "q": 3, "y": 12}[interval.unit]
    return moved(key + offset, months, "M") - offset


def _text(places: Sequence[Place], arguments: Arguments) -> str:
    """The value of a field as text, from the first place that has one."""
    texts = [_text_at(place, arguments) for place in places]
    return texts[0] if len(texts) == 1 else f"coalesce({', '.join(texts)})"


def _text_at(place: Place, arguments: Arguments) -> str:
    match place:
        case Member(path):
            return f"(e.data #>> {arguments.add(list(path))}::text[])"
        case ErrorMember(name):
            paths = [["@error", *["inner"] * depth, name] for depth in range(CAUSES)]
            found = [
                f"e.data #>> {arguments.add(path)}::text[]" for path in [*paths, ["@simple_error", name]]
            ]
            return f"coalesce({', '.join(found)})"
        case StackColumn(name):
            return f'(SELECT s."{name}"::text FROM stacks AS s WHERE s.id = e.stack_id)'  # noqa: S608
        case Column():
            return f"{_column(place)}::text"
        case _:
            raise TypeError(f"{place} is no place of one value")


def _column(place: Place) -> str:
    if not isinstance(place, Column):
        raise TypeError(f"{place} is no column")
    return f"e.{place.name}"


def _is_list(part: Aggregation) -> bool:
    place = part.field.places[0]
    return isinstance(place, Column) and place.is_list


def _lists(path: Sequence[Aggregation], values: Sequence[Aggregation]) -> str:
    """An event with several tags is in the bucket of each of them."""
    lists = ""
    if any(part.operator is Operator.TERMS and _is_list(part) for part in path):
        lists += " CROSS JOIN LATERAL unnest(e.tags) AS tag (v)"
    if any(_is_list(part) for part in values):
        lists += " CROSS JOIN LATERAL unnest(e.tags) AS counted (v)"
    return lists

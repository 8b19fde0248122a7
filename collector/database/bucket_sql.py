"""What puts events into buckets and what is found out of them, as SQL on `events AS e`."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from collector.database.event_lists import Selection
from collector.database.filter_sql import CAUSES, Arguments
from collector.domain.aggregation import Aggregation, Interval, Operator, interval_of, missing_of
from collector.domain.filter_fields import Column, ErrorMember, Member, Place, StackColumn

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


def value_of(part: Aggregation, arguments: Arguments) -> str:
    """What one aggregation finds out of the events of a bucket."""
    if part.operator is Operator.CARDINALITY:
        return f"count(DISTINCT {'counted.v' if is_list(part) else _text(part.field.places, arguments)})"
    column = _column(part.field.places[0])
    if part.is_moment:
        return f"{_FUNCTIONS[part.operator]}({column})"
    if (missing := missing_of(part)) is not None:
        column = f"coalesce({column}, {arguments.add(missing)}::numeric)"
    return f"{_FUNCTIONS[part.operator]}({column})::numeric"


def key_of(part: Aggregation, selection: Selection, arguments: Arguments) -> str:
    """The key of the bucket that an event is in; null where it is in none."""
    if part.operator is Operator.DATE:
        return _date_key(_column(part.field.places[0]), interval_in(part, selection), arguments)
    if is_list(part):
        return "tag.v"
    return _text(part.field.places, arguments)


def lists_of(path: Sequence[Aggregation], values: Sequence[Aggregation]) -> str:
    """What stands beside the events: one with several tags is in the bucket of each of them."""
    lists = ""
    if any(part.operator is Operator.TERMS and is_list(part) for part in path):
        lists += " CROSS JOIN LATERAL unnest(e.tags) AS tag (v)"
    if any(is_list(part) for part in values):
        lists += " CROSS JOIN LATERAL unnest(e.tags) AS counted (v)"
    return lists


def is_list(part: Aggregation) -> bool:
    """Whether its field has several values in one event."""
    place = part.field.places[0]
    return isinstance(place, Column) and place.is_list


def interval_in(part: Aggregation, selection: Selection) -> Interval:
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


def _date_key(column: str, interval: Interval, arguments: Arguments) -> str:
    """The beginning of the bucket that a date falls into, in UTC."""
    offset = interval.offset or _NO_TIME
    if interval.length is not None:
        length, origin = arguments.add(interval.length), arguments.add(_ORIGIN - offset)
        return f"greatest(date_bin({length}::interval, {column}, {origin}::timestamptz), {_EARLIEST})"
    shift = f"{arguments.add(offset)}::interval"
    local = f"date_trunc('{_CALENDAR[interval.unit]}', ({column} AT TIME ZONE 'UTC') + {shift})"
    return f"greatest(({local} - {shift}) AT TIME ZONE 'UTC', {_EARLIEST})"


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

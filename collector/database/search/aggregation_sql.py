"""Aggregations as SQL on `events AS e`: the keys that put events into buckets, and the values of a bucket."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from collector.database.search.event_lists import Selection
from collector.database.search.filter_sql import CAUSES, Arguments
from collector.database.search.rollup_sql import Tier, is_rolled_value, key_tier, rolled_value_sql
from collector.database.search.user_counts import by_days_or_all_stacks, has_sketches
from collector.database.search.value_sql import value_condition
from collector.domain.filter.aggregation import (
    Aggregation,
    Interval,
    Operator,
    bucket_interval,
    missing_number,
)
from collector.domain.filter.fields import (
    FIELDS,
    Column,
    ErrorMember,
    FieldSource,
    Kind,
    Member,
    StackColumn,
)
from collector.domain.filter.predicates import IsText
from collector.domain.filter.words import folded

_ORIGIN: Final = datetime(2000, 1, 3, tzinfo=UTC)
"""Buckets of a fixed length are counted from this date, a Monday, so that weeks begin on Mondays."""
_EARLIEST: Final = "timestamptz '0001-01-01 00:00:00.000001+00'"
"""The earliest start of a bucket. The driver reads the microsecond before as -infinity."""
_NO_TIME: Final = timedelta()
_LARGEST: Final = "1.7976931348623157e308"
"""The largest finite double."""
_EXACT: Final = frozenset({Kind.ID, Kind.EXACT, Kind.NUMBER, Kind.FLAG, Kind.DATE})
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


def tier_for(path: Sequence[Aggregation], values: Sequence[Aggregation], selection: Selection) -> Tier | None:
    """The rollups that have the buckets of a path and their values; None if the events have to be read."""
    if selection.rollups is None or not all(map(is_rolled_value, values)):
        return None
    tiers = {
        key_tier(part, effective_interval(part, selection) if part.operator is Operator.DATE else None)
        for part in path
    }
    return None if None in tiers else "hours" if "hours" in tiers else "days"


def users_are_sketched(part: Aggregation, path: Sequence[Aggregation], selection: Selection) -> bool:
    """Whether sketches have the number of users in the buckets of a path: of the whole, or of dates."""
    is_users = part.operator is Operator.CARDINALITY and part.field is FIELDS["user"] and not part.missing
    is_simple = len(path) <= 1 and all(one.operator is Operator.DATE for one in path)
    return (
        is_users
        and is_simple
        and selection.rollups is not None
        and has_sketches(selection.rollups.filter)
        and tier_for(path, [], selection) is not None
        and (not path or by_days_or_all_stacks(selection.rollups.filter, tier_for(path, [], selection)))
    )


def value_sql(part: Aggregation, arguments: Arguments, *, is_rolled: bool = False, scale: float = 1.0) -> str:
    """The expression of the value that an aggregation computes over the events, or rollups, of a bucket.

    A sum is multiplied by `scale`, as each event of a sample stands for others.
    Ignores numbers outside the range of a double: JSON readers would turn the whole result into infinity or
    null.
    """
    if is_rolled:
        return rolled_value_sql(part, _key(part, "counted.v", arguments), arguments)
    if part.operator is Operator.CARDINALITY:
        return f"count(DISTINCT {_key(part, 'counted.v', arguments)})"
    column = _column(part.field.sources[0])
    if part.is_date_value:
        return f"{_FUNCTIONS[part.operator]}({column})"
    if (missing := missing_number(part)) is not None:
        column = f"coalesce({column}, {arguments.add(missing)}::numeric)"
    within = f"{column} BETWEEN -{_LARGEST} AND {_LARGEST}"
    value = f"{_FUNCTIONS[part.operator]}({column}) FILTER (WHERE {within})::numeric"
    return f"({value} * {scale!r}::numeric)" if part.operator is Operator.SUM and scale != 1.0 else value


def key_sql(part: Aggregation, selection: Selection, arguments: Arguments) -> str:
    """The expression of the key of an event's bucket, for dates its start in UTC; null if it is in none."""
    if part.operator is Operator.DATE:
        # Fixed lengths are counted from an origin; months, quarters and years follow the calendar.
        column, interval = _column(part.field.sources[0]), effective_interval(part, selection)
        offset = interval.offset or _NO_TIME
        if interval.length is not None:
            length, origin = arguments.add(interval.length), arguments.add(_ORIGIN - offset)
            return f"greatest(date_bin({length}::interval, {column}, {origin}::timestamptz), {_EARLIEST})"
        shift = f"{arguments.add(offset)}::interval"
        local = f"date_trunc('{_CALENDAR[interval.unit]}', ({column} AT TIME ZONE 'UTC') + {shift})"
        return f"greatest(({local} - {shift}) AT TIME ZONE 'UTC', {_EARLIEST})"
    return _key(part, "tag.v", arguments)


def shown_condition(part: Aggregation, key: str, arguments: Arguments) -> str:
    """The condition that `include` and `exclude` put on a bucket's key."""
    condition = f"{key} IS NOT NULL"
    if part.options.include:
        condition += f" AND {_is_one_of(part, part.options.include, key, arguments)}"
    if part.options.exclude:
        condition += f" AND NOT {_is_one_of(part, part.options.exclude, key, arguments)}"
    return condition


def list_joins(path: Sequence[Aggregation], values: Sequence[Aggregation]) -> str:
    """The joins that unnest list columns: an event with several tags is in the bucket of each of them."""
    in_buckets = [part for part in path if part.operator is Operator.TERMS and part.is_of_list]
    counted = [part for part in values if part.is_of_list]
    return _list_join(in_buckets, "tag") + _list_join(counted, "counted")


def _list_join(parts: Sequence[Aggregation], name: str) -> str:
    if not parts:
        return ""
    # A missing value has a bucket: the left join keeps events without any tag, once each.
    if any(part.missing is not None for part in parts):
        return f" LEFT JOIN LATERAL unnest(e.tags) AS {name} (v) ON true"
    return f" CROSS JOIN LATERAL unnest(e.tags) AS {name} (v)"


def _key(part: Aggregation, in_list: str, arguments: Arguments) -> str:
    """The value as text, or the text that replaces a missing one."""
    if part.is_of_list:
        text = in_list
    else:  # the first source that has a value
        texts = [_source_text(source, part.field.kind, arguments) for source in part.field.sources]
        text = texts[0] if len(texts) == 1 else f"coalesce({', '.join(texts)})"
    return text if part.missing is None else f"coalesce({text}, {arguments.add(part.missing)}::text)"


def _is_one_of(part: Aggregation, texts: Sequence[str], key: str, arguments: Arguments) -> str:
    """Compares whole values as a filter does: ignoring case, unless the field is exact."""
    is_folded = part.field.kind not in _EXACT
    tests = (IsText((folded(text) if is_folded else text,), is_folded) for text in texts)
    conditions = (value_condition(key, test, arguments.add, is_native=False) for test in tests)
    return f"({' OR '.join(conditions)})"


def effective_interval(part: Aggregation, selection: Selection) -> Interval:
    """The requested interval of a date histogram; by default the shortest with at most 100 buckets."""
    asked = bucket_interval(part)
    offset = asked.offset if asked and asked.offset is not None else selection.clock.offset
    offset -= part.options.shift or _NO_TIME
    if asked and (asked.length or asked.unit):
        return Interval(asked.length, asked.unit, offset)
    # Without a beginning the length of the range is unknown.
    begin = selection.time.begin
    if begin is None:
        return Interval(timedelta(days=1), offset=offset)
    covered = (selection.time.end or selection.clock.now) - begin
    fitting = (length for length in _LENGTHS if covered <= length * _FEW_BUCKETS)
    return Interval(next(fitting, _LENGTHS[-1]), offset=offset)


def _source_text(source: FieldSource, kind: Kind, arguments: Arguments) -> str:
    match source:
        case Member(path):
            return f"(e.data #>> {arguments.add(list(path))}::text[])"
        case ErrorMember(name):
            paths = [["@error", *["inner"] * depth, name] for depth in range(CAUSES)]
            found = [
                f"e.data #>> {arguments.add(path)}::text[]" for path in [*paths, ["@simple_error", name]]
            ]
            return f"coalesce({', '.join(found)})"
        case StackColumn(name):
            text = _column_text(f's."{name}"', kind)
            return f"(SELECT {text} FROM stacks AS s WHERE s.id = e.stack_id)"  # noqa: S608
        case Column():
            return _column_text(_column(source), kind)
        case _:
            raise TypeError(f"{source} does not hold a single value")


def _column_text(column: str, kind: Kind) -> str:
    """A column as text: the same for equal values, and independent of the server's `DateStyle`."""
    if kind is Kind.DATE:
        text = f"to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US')"
        return f"(rtrim(rtrim({text}, '0'), '.') || 'Z')"
    return f"trim_scale({column}::numeric)::text" if kind is Kind.NUMBER else f"{column}::text"


def _column(source: FieldSource) -> str:
    if not isinstance(source, Column):
        raise TypeError(f"{source} is not a column")
    return f"e.{source.name}"

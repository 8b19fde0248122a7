"""Aggregations over the events of a selection, in nested buckets.

Each level of nesting takes one statement, which computes all plain values of that level's buckets in one
pass.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

import asyncpg

from collector.database.search.aggregation_sql import (
    effective_interval,
    key_sql,
    list_joins,
    shown_condition,
    tier_for,
    users_are_sketched,
    value_sql,
)
from collector.database.search.event_lists import Selection, counted_from, exact_or_sampled, to_count
from collector.database.search.filter_sql import Arguments
from collector.database.search.rollup_sql import Rollups
from collector.database.search.user_counts import WHOLE, count_users_by
from collector.domain.dates.datemath import add_units
from collector.domain.errors import BadRequest
from collector.domain.filter.aggregation import Aggregation, Interval, Operator, term_limit

MAXIMUM_DATES: Final = 2000
"""The most date buckets in one list; the newest are kept."""
MAXIMUM_BUCKETS: Final = 10_000
"""The most buckets of one aggregation, over all of its parents."""

BucketKeys = tuple[Any, ...]
"""The keys on the path from the root to a bucket."""


@dataclass(slots=True)
class Bucket:
    """Events with the same key: their number, and values and inner buckets by the aggregation's key."""

    key: Any = None
    total: int = 0
    values: dict[str, Any] = field(default_factory=dict)
    buckets: "dict[str, list[Bucket]]" = field(default_factory=dict)
    is_estimated: bool = False


async def count_in_buckets(
    connection: asyncpg.Connection,
    selection: Selection,
    aggregations: Sequence[Aggregation],
    *,
    seconds: float | None = None,
) -> Bucket:
    """The whole selection as one bucket that holds the results of the aggregations.

    What takes longer than `seconds` is estimated from a sample of the events instead. Raises BadRequest for
    more than `MAXIMUM_BUCKETS` buckets.
    """

    async def count(selection: Selection) -> Bucket:
        whole = Bucket()
        await _fill(connection, selection, (), {(): whole}, aggregations)
        return whole

    counted = await to_count(connection, selection)
    whole, is_estimated = await exact_or_sampled(connection, counted, seconds, count)
    return replace(whole, is_estimated=is_estimated)


async def _fill(
    connection: asyncpg.Connection,
    selection: Selection,
    path: tuple[Aggregation, ...],
    parents: Mapping[BucketKeys, Bucket],
    parts: Sequence[Aggregation],
) -> None:
    """Compute the parts of all buckets of one path, and descend into the parts that have buckets."""
    # `_buckets` has computed the plain values of inner levels together with their keys.
    if not path:
        values = [part for part in parts if _is_plain(part)]
        await _compute_plain(connection, selection, path, parents, values, with_total=True)
    for part in parts:
        if not parents or _is_plain(part):
            continue
        if part.has_buckets:
            inner = await _buckets(connection, selection, (*path, part), parents)
            await _fill(connection, selection, (*path, part), inner, part.parts)
        else:  # a list takes a statement of its own, because unnesting it multiplies the events
            await _compute(connection, selection, path, parents, [part])


async def _compute_plain(
    connection: asyncpg.Connection,
    selection: Selection,
    path: tuple[Aggregation, ...],
    buckets: Mapping[BucketKeys, Bucket],
    values: Sequence[Aggregation],
    *,
    with_total: bool = False,
) -> None:
    """Compute plain values of all buckets of a path: from rollups, sketches of users, or the events."""
    rolled = [part for part in values if tier_for(path, [part], selection)]
    users = [part for part in values if part not in rolled and users_are_sketched(part, path, selection)]
    others = [part for part in values if part not in rolled and part not in users]
    for part in users:
        arguments = Arguments()
        key = key_sql(path[-1], selection, arguments) if path else WHOLE
        counted = await count_users_by(connection, _sketched(selection), key, arguments)
        for keys, bucket in buckets.items():
            bucket.values[part.key] = counted.get(keys[-1] if path else None, 0)
    # The total comes with the values that are computed first.
    if rolled or (with_total and (tier_for(path, [], selection) or not others)):
        await _compute(connection, selection, path, buckets, rolled)
        with_total = False
    if others or with_total:
        await _compute(connection, selection, path, buckets, others)


async def _compute(
    connection: asyncpg.Connection,
    selection: Selection,
    path: tuple[Aggregation, ...],
    buckets: Mapping[BucketKeys, Bucket],
    values: Sequence[Aggregation],
) -> None:
    """Compute the values of all buckets of a path in one pass."""
    for bucket in buckets.values():
        bucket.values |= {part.key: _empty_value(part) for part in values}
    for keys, row in await _rows(connection, selection, path, values, within=buckets):
        buckets[keys].values |= _values(row, values)
        if not path and not any(part.is_of_list for part in values):
            buckets[keys].total = row["total"]


async def _buckets(
    connection: asyncpg.Connection,
    selection: Selection,
    path: tuple[Aggregation, ...],
    parents: Mapping[BucketKeys, Bucket],
) -> dict[BucketKeys, Bucket]:
    """Make the buckets of the path's last part in each of its parents: the largest, or the newest dates."""
    last, found = path[-1], dict[BucketKeys, Bucket]()
    values = [part for part in last.parts if _is_plain(part)]
    # What orders the buckets has to be computed with them; if that takes the events, all of it does.
    later = [part for part in values if not part.sign and not tier_for(path, [part], selection)]
    values = [part for part in values if part not in later]
    if not tier_for(path, values, selection):
        values, later = values + later, []
    for parent in parents.values():
        parent.buckets[last.key] = []
    for keys, row in await _rows(connection, selection, path, values, within=parents, is_ranked=True):
        found[keys] = Bucket(keys[-1], row["total"], _values(row, values))
        parents[keys[:-1]].buckets[last.key].append(found[keys])
    if len(found) > MAXIMUM_BUCKETS:
        raise BadRequest(f"The aggregation `{last.key}` has more than {MAXIMUM_BUCKETS} buckets.")
    if later and found:
        await _compute_plain(connection, selection, path, found, later)
    if last.operator is Operator.DATE:
        interval, gaps = effective_interval(last, selection), MAXIMUM_BUCKETS // len(parents)
        for keys, parent in parents.items():
            parent.buckets[last.key] = list(_without_gaps(parent.buckets[last.key], interval, gaps))
            for bucket in parent.buckets[last.key]:
                bucket.values = bucket.values or {part.key: _empty_value(part) for part in [*values, *later]}
            found |= {(*keys, bucket.key): bucket for bucket in parent.buckets[last.key]}
    return found


async def _rows(
    connection: asyncpg.Connection,
    selection: Selection,
    path: Sequence[Aggregation],
    values: Sequence[Aggregation],
    *,
    within: Collection[BucketKeys],
    is_ranked: bool = False,
) -> list[tuple[BucketKeys, asyncpg.Record]]:
    """A row for each bucket of the path inside the buckets `within`: its keys, event count and values."""
    # The keys of each bucket, its count and values; then the conditions on keys, and the limits.
    arguments = Arguments()
    tier = tier_for(path, values, selection)
    table, condition, total = counted_from(selection, arguments, tier)
    keys = [key_sql(part, selection, arguments) for part in path]
    columns = [f"{key} AS k{number}" for number, key in enumerate(keys)]
    columns += [f"{total} AS total"]
    columns += [
        f"{value_sql(part, arguments, is_rolled=tier is not None, scale=selection.scale)} AS v{number}"
        for number, part in enumerate(values)
    ]
    names = [f"k{number}" for number in range(len(keys))]
    statement = f"SELECT {', '.join(columns)} FROM {table}{list_joins(path, values)} WHERE {condition}"  # noqa: S608
    statement += "".join(
        f" AND {shown_condition(part, key, arguments)}" for part, key in zip(path, keys, strict=True)
    )
    if names:
        statement += f" GROUP BY {', '.join(names)}"
    if is_ranked and path[-1].options.least > 1:
        statement += f" HAVING {total} >= {arguments.add(path[-1].options.least)}"
    statement = _inside(statement, path, within, arguments)
    if is_ranked:
        statement = _ranked(statement, names, path[-1], values, arguments)
    rows = await connection.fetch(statement, *arguments.values)
    return [(tuple(row[name] for name in names), row) for row in rows]


def _inside(
    statement: str, path: Sequence[Aggregation], outer: Collection[BucketKeys], arguments: Arguments
) -> str:
    """The statement, restricted to the outer buckets that are returned.

    Rows of other buckets would use up the limit on the number of buckets.
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


def _ranked(
    statement: str,
    names: Sequence[str],
    last: Aggregation,
    values: Sequence[Aggregation],
    arguments: Arguments,
) -> str:
    """The statement, limited to the first buckets of each parent.

    Dates: the newest, in ascending order. Others: the largest, unless values have a sign to sort by; buckets
    without such a value come last.
    """
    is_date = last.operator is Operator.DATE
    signed = [
        f"v{number} {'DESC' if part.sign == '-' else 'ASC'} NULLS LAST, "
        for number, part in enumerate(values)
        if part.sign
    ]
    by_size = f"{''.join(signed)}total DESC, {names[-1]}"
    order = f"{names[-1]} DESC" if is_date else by_size
    window = f"PARTITION BY {', '.join(names[:-1])} " if names[:-1] else ""
    size = arguments.add(MAXIMUM_DATES if is_date else term_limit(last))
    ranked = f"SELECT *, row_number() OVER ({window}ORDER BY {order}) AS rank FROM ({statement}) AS b"  # noqa: S608
    shown = names[-1] if is_date else by_size
    # One more than allowed, so that the caller notices that there are too many.
    most = arguments.add(MAXIMUM_BUCKETS + 1)
    return f"SELECT * FROM ({ranked}) AS r WHERE rank <= {size} ORDER BY {shown} LIMIT {most}"  # noqa: S608


def _sketched(selection: Selection) -> Rollups:
    if selection.rollups is None:
        raise TypeError("the selection has no rollups")
    return selection.rollups


def _is_plain(part: Aggregation) -> bool:
    """Whether it is a single value, which one pass can compute together with others."""
    return not part.has_buckets and not part.is_of_list


def _empty_value(part: Aggregation) -> int | None:
    """The value over no events."""
    return 0 if part.operator is Operator.CARDINALITY else None


def _values(row: asyncpg.Record, parts: Sequence[Aggregation]) -> dict[str, Any]:
    return {part.key: row[f"v{number}"] for number, part in enumerate(parts)}


def _without_gaps(buckets: Sequence[Bucket], interval: Interval, most: int) -> Iterator[Bucket]:
    """The buckets with the empty ones between them, at most `most` of these."""
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
    offset = interval.offset or timedelta()
    months = {"M": 1, "q": 3, "y": 12}[interval.unit]
    return add_units(key + offset, months, "M") - offset

"""The dates of the events that a filter can match, so that a search reads only their partitions."""

from collections.abc import Iterable
from datetime import datetime
from functools import reduce
from typing import Final

from collector.domain.dates.datemath import LocalClock
from collector.domain.dates.time_range import TimeRange
from collector.domain.filter.fields import FIELDS, resolve_field
from collector.domain.filter.predicates import DateBetween, predicate_for
from collector.domain.filter.tree import And, Filter, Match, Or

_DATE: Final = FIELDS["date"]


def date_bounds(tree: Filter, clock: LocalClock) -> TimeRange:
    """The range that contains the date of every matching event. Raises BadRequest."""
    match tree:
        case And(children):
            return reduce(common_dates, (date_bounds(child, clock) for child in children), TimeRange())
        case Or(children):
            # From the earliest begin to the latest end; unbounded if one of the ranges is.
            ranges = [date_bounds(child, clock) for child in children]
            begins, ends = _known(each.begin for each in ranges), _known(each.end for each in ranges)
            return TimeRange(
                min(begins) if len(begins) == len(ranges) else None,
                max(ends) if len(ends) == len(ranges) else None,
            )
        case Match(str() as name, value) if resolve_field(name) is _DATE:
            predicate = predicate_for(_DATE, value, clock)
            if isinstance(predicate, DateBetween):
                return TimeRange(predicate.begin, predicate.end)
    # Any other condition says nothing about the date.
    return TimeRange()


def common_dates(one: TimeRange, other: TimeRange) -> TimeRange:
    """The intersection of two ranges."""
    return TimeRange(
        max(_known((one.begin, other.begin)), default=None), min(_known((one.end, other.end)), default=None)
    )


def _known(bounds: Iterable[datetime | None]) -> list[datetime]:
    return [bound for bound in bounds if bound is not None]

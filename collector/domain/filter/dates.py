"""Between which dates all events lie that a filter can be about: so most of the others are not looked at."""

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
    """The dates that the filter leaves; open where it says nothing of them. Raises BadRequest."""
    match tree:
        case And(children):
            return reduce(common_dates, (date_bounds(child, clock) for child in children), TimeRange())
        case Or(children):
            return _all_of([date_bounds(child, clock) for child in children])
        case Match(str() as name, value) if resolve_field(name) is _DATE:
            test = predicate_for(_DATE, value, clock)
            return TimeRange(test.begin, test.end) if isinstance(test, DateBetween) else TimeRange()
        case _:
            return TimeRange()


def common_dates(one: TimeRange, other: TimeRange) -> TimeRange:
    """What lies in both ranges."""
    return TimeRange(
        max(_given(one.begin, other.begin), default=None), min(_given(one.end, other.end), default=None)
    )


def _all_of(ranges: Iterable[TimeRange]) -> TimeRange:
    """From the first to the last of them."""
    begins, ends = zip(*((each.begin, each.end) for each in ranges), strict=True)
    return TimeRange(
        None if None in begins else min(_given(*begins)), None if None in ends else max(_given(*ends))
    )


def _given(*moments: datetime | None) -> list[datetime]:
    return [moment for moment in moments if moment is not None]

"""Usage as it is shown (contract 6): twelve months, and the hours of a week in which there was something.

The official server cuts both the same way and fills in months, not hours.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import msgspec

from collector.domain.dates.datemath import moved, start_of

_MONTHS: Final = 12
_HOURS_KEPT: Final = timedelta(days=7)


class Counts(msgspec.Struct, frozen=True, gc=False):
    """Events of a month or an hour of acceptance (UTC); a Struct, for there are many.

    `total` were stored; `deleted` is how many of these somebody deleted since. `too_big` are posts that
    unpacked to more than a post may hold. Duplicates and other dead letters are in none of them.
    """

    total: int = 0
    discarded: int = 0
    too_big: int = 0
    deleted: int = 0


@dataclass(frozen=True, slots=True)
class Usage:
    """What was counted, by the beginning of each month and hour."""

    months: Mapping[datetime, Counts] = field(default_factory=dict)
    hours: Mapping[datetime, Counts] = field(default_factory=dict)

    def by_month(self, now: datetime) -> Iterator[tuple[datetime, Counts]]:
        """Each of the months that are shown, the oldest first."""
        first = first_month(now)
        for number in range(_MONTHS):
            month = moved(first, number, "M")
            yield month, self.months.get(month, _NOTHING)

    def by_hour(self, now: datetime) -> Iterator[tuple[datetime, Counts]]:
        """Each of the hours that are shown, the oldest first: what is going on now is always among them."""
        for hour in sorted({*self.hours, start_of(now, "h")}):
            yield hour, self.hours.get(hour, _NOTHING)


_NOTHING: Final = Counts()
NO_USAGE: Final = Usage()


def first_month(now: datetime) -> datetime:
    """The beginning of the oldest month that is shown."""
    return moved(start_of(now, "M"), 1 - _MONTHS, "M")


def first_hour(now: datetime) -> datetime:
    """The beginning of the oldest hour that is shown."""
    return start_of(now - _HOURS_KEPT, "h")

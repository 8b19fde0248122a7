"""Usage as clients see it (contract 6): twelve months, and the hours of the last week that have any.

Like the official server, months without usage are included and hours without usage are not.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import msgspec

from collector.domain.dates.datemath import add_units, truncate

_MONTHS: Final = 12
_HOURS_KEPT: Final = timedelta(days=7)


class Counts(msgspec.Struct, frozen=True, gc=False):
    """Events accepted in one month or hour (UTC). A Struct, because there are many.

    `total` were stored; `deleted` of them have been deleted since. `too_big` counts posts that exceeded the
    size limit when decompressed. Duplicates and other dead letters are not counted.
    """

    total: int = 0
    discarded: int = 0
    too_big: int = 0
    deleted: int = 0


@dataclass(frozen=True, slots=True)
class Usage:
    """The counts by the start of each month and hour."""

    months: Mapping[datetime, Counts] = field(default_factory=dict)
    hours: Mapping[datetime, Counts] = field(default_factory=dict)

    def by_month(self, now: datetime) -> Iterator[tuple[datetime, Counts]]:
        """The last twelve months including the current one, oldest first."""
        first = first_month(now)
        for number in range(_MONTHS):
            month = add_units(first, number, "M")
            yield month, self.months.get(month, _NO_COUNTS)

    def by_hour(self, now: datetime) -> Iterator[tuple[datetime, Counts]]:
        """The hours with usage and the current hour, oldest first."""
        # The current hour is shown even if nothing has happened in it.
        for hour in sorted({*self.hours, truncate(now, "h")}):
            yield hour, self.hours.get(hour, _NO_COUNTS)


_NO_COUNTS: Final = Counts()
NO_USAGE: Final = Usage()


def first_month(now: datetime) -> datetime:
    """The start of the oldest month in the answer."""
    return add_units(truncate(now, "M"), 1 - _MONTHS, "M")


def first_hour(now: datetime) -> datetime:
    """The start of the oldest hour in the answer."""
    return truncate(now - _HOURS_KEPT, "h")

"""Usage as the views of organizations and projects show it (contract 6)."""

from datetime import datetime
from typing import Final

import msgspec
from msgspec.structs import asdict

from collector.domain.accounting.usage import Usage

UNLIMITED: Final = -1


class HourlyUsageView(msgspec.Struct, frozen=True, kw_only=True):
    """Outcomes of the events that were accepted in one hour (UTC).

    Of deleted events only the day is known: they count in its first hour. Posts that ingest refuses are not
    stored: `blocked` is always 0, and `too_big` counts only posts that were too large after decompression.
    """

    date: datetime
    total: int
    blocked: int
    discarded: int
    too_big: int
    deleted: int


class MonthlyUsageView(HourlyUsageView, frozen=True, kw_only=True):
    """Outcomes of the events of one month (UTC); `limit` is the monthly maximum of stored events, or -1."""

    limit: int


def hourly(usage: Usage, now: datetime) -> tuple[HourlyUsageView, ...]:
    """The hours of the last week with any events, and the current one; oldest first."""
    return tuple(
        HourlyUsageView(date=hour, blocked=0, **asdict(counts)) for hour, counts in usage.by_hour(now)
    )


def monthly(usage: Usage, limit: int | None, now: datetime) -> tuple[MonthlyUsageView, ...]:
    """The last twelve months, oldest first."""
    return tuple(
        MonthlyUsageView(date=month, limit=limit or UNLIMITED, blocked=0, **asdict(counts))
        for month, counts in usage.by_month(now)
    )

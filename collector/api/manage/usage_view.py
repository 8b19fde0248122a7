"""How usage is shown with an organization or a project (contract 6)."""

from datetime import datetime
from typing import Final

import msgspec
from msgspec.structs import asdict

from collector.domain.accounting.usage import Usage

UNLIMITED: Final = -1


class HourlyUsageView(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the events of an hour of acceptance (UTC).

    Of deleted events only the day is known: they are in its first hour. What ingest refuses is in no store:
    `blocked` is always 0, and `too_big` are only those posts that unpacked to too much.
    """

    date: datetime
    total: int
    blocked: int
    discarded: int
    too_big: int
    deleted: int


class MonthlyUsageView(HourlyUsageView, frozen=True, kw_only=True):
    """What became of the events of a month (UTC); `limit` is how many may be stored in one, -1 for any."""

    limit: int


def hourly(usage: Usage, now: datetime) -> tuple[HourlyUsageView, ...]:
    """The hours of the last week in which there was something, and this one; the oldest first."""
    return tuple(
        HourlyUsageView(date=hour, blocked=0, **asdict(counts)) for hour, counts in usage.by_hour(now)
    )


def monthly(usage: Usage, limit: int | None, now: datetime) -> tuple[MonthlyUsageView, ...]:
    """The last twelve months; the oldest first."""
    return tuple(
        MonthlyUsageView(date=month, limit=limit or UNLIMITED, blocked=0, **asdict(counts))
        for month, counts in usage.by_month(now)
    )

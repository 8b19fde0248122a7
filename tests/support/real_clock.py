"""The real time, for tests in which the clock of a server or a client decides.

All other tests use a fixed day: `today` of `tests.database.rows`, `ACCEPTED_MS` of `tests.support.factories`.
A test that reads the calendar fails on some days.
"""

from datetime import UTC, datetime, timedelta

from collector.process.clock import SystemClock

__all__ = ["SystemClock", "real_days_ago", "real_now"]


def real_now() -> datetime:
    """In UTC."""
    return datetime.now(UTC)


def real_days_ago(number: int) -> datetime:
    """Noon of a day before the one that Postgres has: never close to a partition's edge."""
    return real_now().replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=number)

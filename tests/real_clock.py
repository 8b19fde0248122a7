"""The time that it really is, for tests in which a server's own clock or a client's decides.

All else happens on a set day (`tests.database.rows.today`, `tests.factories.ACCEPTED_MS`): a test that reads
the calendar fails on some days of it.
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

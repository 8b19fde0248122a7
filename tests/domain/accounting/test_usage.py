"""Which months and hours usage includes."""

from datetime import UTC, datetime

from collector.domain.accounting.usage import NO_USAGE, Counts, Usage, first_hour, first_month

NOW = datetime(2026, 2, 28, 13, 45, tzinfo=UTC)


def test_a_year_is_listed_by_month_including_months_without_usage() -> None:
    january = Counts(total=5, deleted=1)
    shown = list(Usage(months={datetime(2026, 1, 1, tzinfo=UTC): january}).by_month(NOW))

    assert [month.isoformat()[:10] for month, _ in shown] == [
        *(f"2025-{month:02}-01" for month in range(3, 13)),
        "2026-01-01",
        "2026-02-01",
    ]
    assert [counts for _, counts in shown] == [Counts()] * 10 + [january, Counts()]
    assert first_month(NOW) == shown[0][0]


def test_hours_with_usage_and_the_current_hour_are_listed_oldest_first() -> None:
    morning, evening = (datetime(2026, 2, 27, hour, tzinfo=UTC) for hour in (9, 20))
    this_hour = datetime(2026, 2, 28, 13, tzinfo=UTC)
    usage = Usage(hours={evening: Counts(total=2), morning: Counts(discarded=1)})

    assert list(usage.by_hour(NOW)) == [
        (morning, Counts(discarded=1)),
        (evening, Counts(total=2)),
        (this_hour, Counts()),
    ]
    assert list(Usage(hours={this_hour: Counts(total=1)}).by_hour(NOW)) == [(this_hour, Counts(total=1))]
    assert list(NO_USAGE.by_hour(NOW)) == [(this_hour, Counts())]
    assert first_hour(NOW) == datetime(2026, 2, 21, 13, tzinfo=UTC)

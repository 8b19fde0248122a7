"""The windows of dates that lists are searched in."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from collector.database.search.windows import widening_windows
from collector.domain.dates.time_range import TimeRange

NOW = datetime(2026, 11, 22, 21, 5, tzinfo=UTC)
FIRST = datetime(1, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "whole",
    [
        pytest.param(TimeRange(), id="all time"),
        pytest.param(TimeRange(NOW - timedelta(days=3)), id="three days"),
        pytest.param(TimeRange(end=NOW - timedelta(days=90)), id="until long ago"),
        pytest.param(TimeRange(NOW - timedelta(days=90), NOW - timedelta(days=50)), id="a while in the past"),
        pytest.param(TimeRange(end=NOW + timedelta(days=1)), id="until tomorrow"),
        pytest.param(TimeRange(FIRST, FIRST + timedelta(hours=1)), id="the beginning of the calendar"),
        pytest.param(TimeRange(end=FIRST + timedelta(days=2)), id="about there"),
    ],
)
def test_windows_cover_the_range_without_gap_or_overlap(whole: TimeRange) -> None:
    """So each event is found exactly once, even one from a clock that ran ahead."""
    windows = list(widening_windows(whole, NOW))

    assert windows[0].end == whole.end
    assert windows[-1].begin == whole.begin
    assert all(newer.begin == older.end for newer, older in pairwise(windows))


def test_the_first_window_is_the_last_day() -> None:
    """Almost everything that people look for is there."""
    first, second, *_ = widening_windows(TimeRange(), NOW)

    assert first == TimeRange(NOW - timedelta(days=1))
    assert second.begin == NOW - timedelta(days=7)


def test_a_short_range_is_one_window() -> None:
    """Splitting it gains nothing."""
    whole = TimeRange(NOW - timedelta(hours=20))

    assert list(widening_windows(whole, NOW)) == [whole]

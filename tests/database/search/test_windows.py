"""The windows of dates that lists go through."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.database.search.windows import DateWindows
from collector.domain.dates.time_range import TimeRange

NOW = datetime(2026, 11, 22, 21, 5, tzinfo=UTC)
FIRST = datetime(1, 1, 1, tzinfo=UTC)
RANGES = [
    pytest.param(TimeRange(), id="all time"),
    pytest.param(TimeRange(NOW - timedelta(days=3)), id="three days"),
    pytest.param(TimeRange(end=NOW - timedelta(days=90)), id="until long ago"),
    pytest.param(TimeRange(NOW - timedelta(days=90), NOW - timedelta(days=50)), id="a while in the past"),
    pytest.param(TimeRange(end=NOW + timedelta(days=1)), id="until tomorrow"),
    pytest.param(TimeRange(FIRST, FIRST + timedelta(hours=1)), id="the beginning of the calendar"),
    pytest.param(TimeRange(end=FIRST + timedelta(days=2)), id="about there"),
    pytest.param(TimeRange(datetime.max.replace(tzinfo=UTC)), id="the end of the calendar"),
]


def searched(windows: DateWindows, seconds: float = 0.01) -> Iterator[TimeRange]:
    """Every window, each of which takes so long."""
    while (window := windows.take()) is not None:
        yield window
        windows.done(seconds)


@pytest.mark.parametrize("whole", RANGES)
def test_windows_meet_without_gap_or_overlap_and_cover_the_whole_range(whole: TimeRange) -> None:
    """Every event is looked at exactly once, also one from a clock that ran ahead."""
    windows = list(searched(DateWindows(whole, NOW)))

    assert windows[0].end == whole.end
    assert windows[-1].begin == whole.begin
    assert all(newer.begin == older.end for newer, older in pairwise(windows))


@pytest.mark.parametrize("whole", RANGES)
def test_windows_in_ascending_order_cover_the_whole_range(whole: TimeRange) -> None:
    windows = list(searched(DateWindows(whole, NOW, is_newest_first=False)))

    assert windows[0].begin == whole.begin
    assert windows[-1].end == whole.end
    assert all(older.end == newer.begin for older, newer in pairwise(windows))


@given(steps=st.lists(st.one_of(st.none(), st.floats(0, 20)), max_size=60), is_newest_first=st.booleans())
def test_windows_that_are_cut_leave_no_gap(steps: list[float | None], is_newest_first: bool) -> None:  # noqa: FBT001
    whole = TimeRange(NOW - timedelta(days=40), NOW)
    windows, covered = DateWindows(whole, NOW, is_newest_first=is_newest_first), timedelta()
    for seconds in steps:
        window = windows.take()
        if window is None:
            break
        assert window.begin is not None
        assert window.end is not None
        if seconds is None:
            if not windows.cut():
                break
        else:
            covered += window.end - window.begin
            windows.done(seconds)

    rest = windows.rest
    left = timedelta() if rest is None or rest.begin is None or rest.end is None else rest.end - rest.begin
    assert covered + left == timedelta(days=40)


def test_quick_windows_grow_more_than_slow_ones() -> None:
    quick, slow = (
        [window.begin for window in searched(DateWindows(TimeRange(), NOW), seconds)]
        for seconds in (0.01, 9.0)
    )

    assert quick[:2] == [NOW - timedelta(days=1), NOW - timedelta(days=9)]
    assert slow[:2] == [NOW - timedelta(days=1), NOW - timedelta(days=3)]
    assert (len(quick), len(slow)) == (5, 12)


def test_no_window_is_as_long_as_one_that_took_too_long() -> None:
    windows = DateWindows(TimeRange(NOW - timedelta(days=9), NOW), NOW)
    windows.take()
    windows.cut()
    lengths = [window.end - window.begin for window in searched(windows) if window.begin and window.end]

    assert lengths[0] == timedelta(hours=3)
    assert max(lengths) == timedelta(hours=12)


def test_a_window_that_takes_too_long_is_cut_until_it_is_a_second() -> None:
    windows = DateWindows(TimeRange(), NOW)
    lengths = []
    windows.take()
    while windows.cut():
        window = windows.take()
        assert window is not None
        assert window.begin is not None
        lengths.append(NOW - window.begin)

    assert lengths[0] == timedelta(hours=3)
    assert timedelta(seconds=1) <= lengths[-1] < timedelta(seconds=8)


def test_a_short_range_is_one_window() -> None:
    """Nothing is gained by going through it in parts."""
    whole = TimeRange(NOW - timedelta(hours=20))

    assert list(searched(DateWindows(whole, NOW))) == [whole]

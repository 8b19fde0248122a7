"""The windows of ids that look-ups go through."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from collector.database.windows import FIRST_ID, LAST_ID, widening_windows
from collector.domain.identifiers import first_id_at

NOW = datetime(2026, 11, 22, 21, 5, tzinfo=UTC)


def test_windows_meet_without_gap_or_overlap_and_hold_all_time() -> None:
    """Every event is looked at exactly once, also one from a clock that ran ahead."""
    windows = list(widening_windows(NOW))

    assert windows[0][1] == LAST_ID
    assert windows[-1][0] == FIRST_ID
    assert all(newer[0] == older[1] for newer, older in pairwise(windows))
    assert all(begin < end for begin, end in windows)


def test_the_first_window_is_today_and_yesterday() -> None:
    """Where almost everything that is asked for lies."""
    begin, _ = next(iter(widening_windows(NOW)))

    assert begin == first_id_at(datetime(2026, 11, 21, tzinfo=UTC))


def test_windows_grow() -> None:
    """Each look costs more than the one before, so few looks reach far."""
    begins = [begin.int >> 80 for begin, _ in widening_windows(NOW)][:-1]
    widths = [newer - older for newer, older in pairwise(begins)]

    assert widths == sorted(widths)
    assert widths[0] > timedelta(days=1) // timedelta(milliseconds=1)

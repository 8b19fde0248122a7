"""The bound on entries that are held because they cannot be stored."""

from collector.domain.event.outcome import Tally
from worker.holding import MOST_IN_A_ROW, PAUSE_SECONDS, Holding


def test_holding_pauses_after_a_run_of_entries_until_an_event_is_stored() -> None:
    """A transaction that stores no event proves nothing."""
    holding = Holding()
    holding.note(Tally(held=100), MOST_IN_A_ROW - 1, 0.0)
    assert not holding.is_paused(0.0)

    holding.note(Tally(held=1), 1, 0.0)
    holding.note(Tally(discarded=5, dead_lettered=1), 0, 0.0)
    assert holding.is_paused(0.0)

    holding.note(Tally(stored=1), 0, 0.0)
    assert not holding.is_paused(0.0)


def test_one_more_entry_is_held_after_each_pause() -> None:
    """A run of bad entries does not stop the queue for good."""
    holding = Holding()
    holding.note(Tally(), MOST_IN_A_ROW, 0.0)
    assert holding.is_paused(PAUSE_SECONDS - 1)
    assert not holding.is_paused(PAUSE_SECONDS)

    holding.note(Tally(), 1, PAUSE_SECONDS)
    assert holding.is_paused(PAUSE_SECONDS)

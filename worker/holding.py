"""Bounds how many entries a worker holds because they cannot be stored.

Holding is for the exception, a few posts that our code or the schema cannot take. When no entry can be stored
the cause is general, such as a missing privilege: then everything waits in the queue, which is bounded.
"""

from typing import Final

from collector.domain.event.outcome import Tally

MOST_IN_A_ROW: Final = 20
"""Entries held in a row, in all lanes, while no event is stored."""
PAUSE_SECONDS: Final = 60.0
"""Between further ones: so even a long run of bad entries comes to its end."""


class Holding:
    """Counts the held entries since an event was last stored; shared by the worker's lanes."""

    def __init__(self) -> None:
        self._in_a_row = 0
        self._last = 0.0

    def is_paused(self, now: float) -> bool:
        """Whether the last entries failed one after another, so that the cause is probably not in them."""
        return self._in_a_row >= MOST_IN_A_ROW and now - self._last < PAUSE_SECONDS

    def note(self, tally: Tally, held_entries: int, now: float) -> None:
        """Count the entries held in a transaction, unless events were stored in it."""
        # A transaction without events may succeed although none can be stored: it proves nothing.
        self._in_a_row = 0 if tally.stored else self._in_a_row + held_entries
        if held_entries:
            self._last = now

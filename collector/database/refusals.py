"""Refused rows, and when they are too many to be the data's fault.

A few poisoned rows in a healthy stream become dead letters. When more than half of the last hundred events or
more would, our code or the schema is wrong: nothing is written off then.
"""

from collections import deque
from typing import Final

from collector.database.errors import MostlyRefused
from collector.domain.outcome import DeadLetter

LEAST_EVENTS: Final = 100
"""Fewer tell nothing about whose fault it is."""


class RefusalWatch:
    """Remembers how many of the last events were refused, over transactions and connections."""

    def __init__(self) -> None:
        self._past: deque[tuple[int, int]] = deque()

    def begin(self, events: int) -> "RefusedRows":
        """The refused rows of one transaction that is to store so many events."""
        total, refused = events, 0
        for past_events, past_refused in reversed(self._past):
            if total >= LEAST_EVENTS:
                break
            total, refused = total + past_events, refused + past_refused
        allowance = total // 2 - refused if total >= LEAST_EVENTS else total
        return RefusedRows(events, allowance)

    def note(self, rows: "RefusedRows") -> None:
        """Remember what a transaction came to, once it is committed."""
        self._past.append((rows.events, len(rows.letters)))
        while sum(number for number, _ in self._past) - self._past[0][0] >= LEAST_EVENTS:
            self._past.popleft()


class RefusedRows:
    """The refused rows of one transaction that stores so many events: at most `allowance` of them."""

    def __init__(self, events: int, allowance: int) -> None:
        self.events = events
        self.letters: list[DeadLetter] = []
        self._allowance = allowance

    def add(self, letter: DeadLetter) -> None:
        """Take one; raises MostlyRefused when most of the last events were refused."""
        if len(self.letters) >= self._allowance:
            raise MostlyRefused(f"Most events are refused, the last one because of {letter.detail}")
        self.letters.append(letter)

    @property
    def ids(self) -> set[bytes]:
        """The ids of the refused events."""
        return {letter.id.bytes for letter in self.letters}

"""Refused rows, and when those of a project are too many to be written off.

A few poisoned rows become dead letters. When of a project's last hundred events or more over half would, its
data, our code or the schema is wrong as a whole: then its posts are held as they came until they are tried
again. Other projects' events are stored meanwhile.

Only projects of which rows were refused are remembered: where nothing is refused, nothing is counted.
"""

from collections import Counter, deque
from collections.abc import Sequence
from operator import attrgetter
from typing import Final
from uuid import UUID

from collector.database.errors import TooManyRejected
from collector.domain.event.outcome import DeadLetter, Event
from collector.process.clock import Clock

LEAST_EVENTS: Final = 100
"""Fewer tell nothing about whose fault it is."""
HELD_SECONDS: Final = 60.0
"""Then the next events of the project are tried."""

_MOST_PROJECTS: Final = 1000
"""Remembered at a time: of one that is forgotten a hundred more events must be refused."""
_project_id: Final = attrgetter("project_id")


class _Past:
    """How many of a project's last events were refused: no more transactions than a hundred events need."""

    def __init__(self) -> None:
        self.refused = 0
        self._events = 0
        self._transactions: deque[tuple[int, int]] = deque()

    def add(self, events: int, refused: int) -> None:
        """What one transaction came to."""
        if not events:
            return
        self._transactions.append((events, refused))
        self._events += events
        self.refused += refused
        while self._events - self._transactions[0][0] >= LEAST_EVENTS:
            old_events, old_refused = self._transactions.popleft()
            self._events -= old_events
            self.refused -= old_refused

    def __len__(self) -> int:
        return len(self._transactions)

    def allowance(self, events: int) -> int:
        """How many of so many more may be refused."""
        total, refused = events, 0
        for past_events, past_refused in reversed(self._transactions):
            if total >= LEAST_EVENTS:
                break
            total, refused = total + past_events, refused + past_refused
        return total // 2 - refused if total >= LEAST_EVENTS else total


class RejectionBreaker:
    """Remembers how many of each project's last events were refused, over transactions and connections."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pasts: dict[bytes, _Past] = {}
        self._held_until: dict[bytes, float] = {}

    def begin(self, events: Sequence[Event]) -> "RejectedRows":
        """The refused rows of one transaction that is to store these events."""
        return RejectedRows(events, self)

    def note(self, rows: "RejectedRows") -> None:
        """Remember what a transaction came to, once it is committed."""
        if not rows.letters and not self._pasts:
            return
        events = Counter(map(_project_id, rows.events))
        refused = Counter(letter.project_id.bytes for letter in rows.letters if letter.project_id)
        for project_id, number in events.items():
            if project_id in refused or project_id in self._pasts:
                past = self._pasts.setdefault(project_id, _Past())
                past.add(number, refused[project_id])
                if not past.refused:
                    del self._pasts[project_id]
        while len(self._pasts) > _MOST_PROJECTS:
            del self._pasts[next(iter(self._pasts))]

    @property
    def remembered(self) -> int:
        """How many transactions, over all projects."""
        return sum(len(past) for past in self._pasts.values())

    def held(self) -> frozenset[bytes]:
        """The projects whose posts are to be held for now."""
        if not self._held_until:
            return frozenset()
        now = self._clock.monotonic()
        self._held_until = {id_: until for id_, until in self._held_until.items() if until > now}
        return frozenset(self._held_until)

    def hold(self, project_id: bytes) -> None:
        """Most of its events are refused."""
        self._held_until[project_id] = self._clock.monotonic() + HELD_SECONDS

    def allowance(self, project_id: bytes, events: int) -> int:
        """How many of so many more events of the project may be refused."""
        return self._pasts.get(project_id, _Past()).allowance(events)


class RejectedRows:
    """The refused rows of one transaction."""

    def __init__(self, events: Sequence[Event], watch: RejectionBreaker | None) -> None:
        """Without a watch all of them may be refused."""
        self.events = events
        self.letters: list[DeadLetter] = []
        self._watch = watch
        self._left: dict[UUID | None, int] = {}

    def add(self, letter: DeadLetter) -> None:
        """Take one; raises MostlyRefused when most of its project's last events were refused."""
        if self._watch is not None and letter.project_id is not None:
            self._judge(letter, letter.project_id, self._watch)
        self.letters.append(letter)

    def _judge(self, letter: DeadLetter, project_id: UUID, watch: RejectionBreaker) -> None:
        if project_id not in self._left:
            number = sum(event.project_id == project_id.bytes for event in self.events)
            self._left[project_id] = watch.allowance(project_id.bytes, number)
        if self._left[project_id] <= 0:
            watch.hold(project_id.bytes)
            raise TooManyRejected(
                f"Most events of project {project_id} are refused, the last one because of {letter.detail}"
            )
        self._left[project_id] -= 1

    @property
    def ids(self) -> set[bytes]:
        """The ids of the refused events."""
        return {letter.id.bytes for letter in self.letters}

"""Rows that Postgres rejects, and the breaker that trips when it rejects too many of one project.

A few bad rows become dead letters. When Postgres rejects more than half of a project's last hundred or more
events, something is wrong as a whole (its data, our code, the schema): its posts are then held as they came
and retried later. Other projects' events are stored as usual.

Only projects with rejected rows have a history, so nothing is counted as long as nothing is rejected.
"""

from collections import Counter, deque
from collections.abc import Sequence
from operator import attrgetter
from typing import Final

from collector.database.errors import TooManyRejected
from collector.domain.event.outcome import DeadLetter, Event
from collector.process.clock import Clock

LEAST_EVENTS: Final = 100
"""Fewer are not enough to judge a project."""
HELD_SECONDS: Final = 60.0
"""Then the project's next events are tried again."""

_MOST_PROJECTS: Final = 1000
"""With a history. A project that drops out starts again without one."""
_project_id: Final = attrgetter("project_id")


class _History:
    """A project's last transactions: only as many as it takes to reach `LEAST_EVENTS`."""

    def __init__(self) -> None:
        self.rejected = 0
        self._events = 0
        self._transactions: deque[tuple[int, int]] = deque()

    def add(self, events: int, rejected: int) -> None:
        """Add one committed transaction."""
        if not events:
            return
        self._transactions.append((events, rejected))
        self._events += events
        self.rejected += rejected
        while self._events - self._transactions[0][0] >= LEAST_EVENTS:
            old_events, old_rejected = self._transactions.popleft()
            self._events -= old_events
            self.rejected -= old_rejected

    def __len__(self) -> int:
        return len(self._transactions)

    def allowance(self, events: int) -> int:
        """How many of this number of further events may be rejected."""
        total, rejected = events, 0
        for past_events, past_rejected in reversed(self._transactions):
            if total >= LEAST_EVENTS:
                break
            total, rejected = total + past_events, rejected + past_rejected
        return total // 2 - rejected if total >= LEAST_EVENTS else total


class RejectionBreaker:
    """Counts each project's rejected events over transactions, and says whose posts are to be held."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._histories: dict[bytes, _History] = {}
        self._held_until: dict[bytes, float] = {}

    def begin(self, events: Sequence[Event]) -> "RejectedRows":
        """Collects the rejected rows of one transaction that is to store these events."""
        return RejectedRows(events, self)

    def record(self, rows: "RejectedRows") -> None:
        """Add a transaction to the histories of its projects, once it is committed."""
        if not rows.letters and not self._histories:
            return
        events = Counter(map(_project_id, rows.events))
        rejected = Counter(letter.project_id.bytes for letter in rows.letters if letter.project_id)
        for project_id, number in events.items():
            if project_id in rejected or project_id in self._histories:
                history = self._histories.setdefault(project_id, _History())
                history.add(number, rejected[project_id])
                # Without rejected rows a project needs no history.
                if not history.rejected:
                    del self._histories[project_id]
        while len(self._histories) > _MOST_PROJECTS:
            del self._histories[next(iter(self._histories))]

    @property
    def transaction_count(self) -> int:
        """The number of transactions in all histories."""
        return sum(len(history) for history in self._histories.values())

    def held(self) -> frozenset[bytes]:
        """The projects whose posts are to be held now."""
        if not self._held_until:
            return frozenset()
        now = self._clock.monotonic()
        self._held_until = {id_: until for id_, until in self._held_until.items() if until > now}
        return frozenset(self._held_until)

    def hold(self, project_id: bytes) -> None:
        """Hold the project's posts for `HELD_SECONDS`."""
        self._held_until[project_id] = self._clock.monotonic() + HELD_SECONDS

    def allowance(self, project_id: bytes, events: int) -> int:
        """How many of this number of further events of the project may be rejected."""
        return self._histories.get(project_id, _History()).allowance(events)


class RejectedRows:
    """The rejected rows of one transaction; without a breaker all of them may be rejected."""

    def __init__(self, events: Sequence[Event], breaker: RejectionBreaker | None) -> None:
        self.events = events
        self.letters: list[DeadLetter] = []
        self._breaker = breaker
        self._left: dict[bytes, int] = {}

    def add(self, letter: DeadLetter) -> None:
        """Add one. Raises TooManyRejected if most of its project's last events were rejected."""
        if self._breaker is not None and letter.project_id is not None:
            project_id = letter.project_id.bytes
            if project_id not in self._left:
                number = sum(event.project_id == project_id for event in self.events)
                self._left[project_id] = self._breaker.allowance(project_id, number)
            if self._left[project_id] <= 0:
                self._breaker.hold(project_id)
                raise TooManyRejected(
                    f"Postgres rejects most events of project {letter.project_id}: {letter.detail}"
                )
            self._left[project_id] -= 1
        self.letters.append(letter)

    @property
    def ids(self) -> set[bytes]:
        """The ids of the rejected events."""
        return {letter.id.bytes for letter in self.letters}

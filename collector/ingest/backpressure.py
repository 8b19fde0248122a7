"""Backpressure: saying 503 before we break, by the bytes that the queue holds and the disk that it has left.

Above the high mark (at most 80 % of the queue's memory, so that tokens, counters and heartbeats can always be
written) posts are refused until the low mark is reached. `Retry-After` is how long the workers need for that,
at the rate at which they have been emptying the queue.
"""

from collections import deque
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Final

from collector.broker.queue_load import QueueLoad
from collector.domain.reasons import DISK_SHORT, QUEUE_FULL
from collector.ingest.reasons import Reasons
from collector.process.clock import Clock
from collector.process.metrics import IngestMetrics

LOW_MARK_SHARE: Final = 0.9
"""Of the high mark: where posts are taken again, so that ingest does not flutter."""

_DISK_AGAIN_SHARE: Final = 1.05
"""Of what must be free: so much is, before posts are taken again."""
_RATE_WINDOW_SECONDS: Final = 10.0
_SHORTEST_WAIT_SECONDS: Final = 1
_LONGEST_WAIT_SECONDS: Final = 120


@dataclass(frozen=True, slots=True)
class Marks:
    """Where ingest begins to refuse: a share of the queue's memory, and bytes left on its disk.

    `disk` is a folder on the queue's disk, or None where ingest cannot see it.
    """

    memory_share: float
    disk: Path | None
    disk_free_bytes: int


class Backpressure:
    """Knows how full the queue and its disk are, and for how long posts must be refused."""

    def __init__(self, marks: Marks, clock: Clock, metrics: IngestMetrics, reasons: Reasons) -> None:
        self._marks = marks
        self._clock = clock
        self._metrics = metrics
        self.reasons = reasons
        self._looks: deque[tuple[float, QueueLoad]] = deque()
        self._taken_bytes = 0
        self._room_bytes = inf
        self._is_full = False
        reasons.wait_for(QUEUE_FULL, self.retry_after_seconds)

    @property
    def disk(self) -> Path | None:
        """A folder on the queue's disk, where it can be seen."""
        return self._marks.disk

    def limit_bytes(self) -> int:
        """How much memory the queue may take; 0 where it has no limit or has said nothing yet."""
        return self._looks[-1][1].limit_bytes if self._looks else 0

    def took(self, size_bytes: int) -> None:
        """Count what went to the queue since the last look: it may come faster than looks do."""
        self._taken_bytes += size_bytes
        if self._taken_bytes > self._room_bytes and not self._is_full:
            self._judge(self._looks[-1][1])

    def observe(self, load: QueueLoad, *, is_over: bool = False) -> None:
        """Judge by a new look at the queue; `is_over`: its server refuses writes for want of memory."""
        now = self._clock.monotonic()
        self._looks.append((now, load))
        while now - self._looks[0][0] > _RATE_WINDOW_SECONDS:
            self._looks.popleft()
        self._taken_bytes = 0
        self._room_bytes = self._high_mark(load) - load.used_bytes if load.limit_bytes else inf
        self._judge(load, is_over=is_over)
        self._metrics.queue_used_bytes.set(load.used_bytes)
        self._metrics.queue_limit_bytes.set(load.limit_bytes)

    def refused(self) -> None:
        """The server has refused a write for want of memory; the next look judges again."""
        self._is_full = True
        self.reasons.put(QUEUE_FULL, "its server is over maxmemory")

    def observe_disk(self, free_bytes: int | None) -> None:
        """Judge by what is left on the queue's disk."""
        least = self._marks.disk_free_bytes
        if self.reasons.holds(DISK_SHORT):
            least = round(least * _DISK_AGAIN_SHARE)
        is_short = free_bytes is not None and free_bytes < least
        self.reasons.put(
            DISK_SHORT,
            f"{free_bytes} bytes are free, posts are taken from {least} on (HEADRACE_QUEUE_DISK_FREE_BYTES)"
            if is_short
            else None,
        )

    def retry_after_seconds(self) -> int:
        """How long the workers need until the low mark; the longest wait when they empty nothing."""
        rate = self._drained_bytes_per_second() if self._looks else 0.0
        if rate <= 0:
            return _LONGEST_WAIT_SECONDS
        load = self._looks[-1][1]
        excess = load.used_bytes - self._high_mark(load) * LOW_MARK_SHARE
        return round(min(max(excess / rate, _SHORTEST_WAIT_SECONDS), _LONGEST_WAIT_SECONDS))

    def _high_mark(self, load: QueueLoad) -> float:
        return load.limit_bytes * self._marks.memory_share

    def _judge(self, load: QueueLoad, *, is_over: bool = False) -> None:
        share = LOW_MARK_SHARE if self._is_full else 1.0
        used = load.used_bytes + self._taken_bytes
        was_full, is_bounded = self._is_full, bool(load.limit_bytes)
        self._is_full = is_over or (is_bounded and used > self._high_mark(load) * share)
        if self._is_full != was_full:
            problem = f"{used} bytes are used of {load.limit_bytes}" if self._is_full else None
            self.reasons.put(QUEUE_FULL, problem)

    def _drained_bytes_per_second(self) -> float:
        """Entries that left, at the size that those in the queue have on average."""
        (began, first), (ended, last) = self._looks[0], self._looks[-1]
        if ended <= began or not last.entries:
            return 0.0
        entry_bytes = last.used_bytes / last.entries
        return (last.drained - first.drained) * entry_bytes / (ended - began)

"""Backpressure: answers 503 before the queue's memory or its disk is full.

What counts is the memory of the posts in the streams, because only that is freed by waiting. Above the high
mark (at most 80 % of the server's memory, so that tokens, counters and heartbeats can always be written)
posts are refused until the low mark is reached. At three quarters of it the posts of later lanes are refused:
those who send far more than others leave room for the others. What else is in the server's memory lowers the
mark, and leaving too little for posts is a reason of its own. `Retry-After` is the time that the workers
need for that at their recent speed.
"""

from collections import deque
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Final

from collector.broker.queue.queue_load import QueueLoad
from collector.domain.errors import Unavailable
from collector.domain.reasons import DISK_SHORT, MEMORY_SHORT, QUEUE_FULL
from collector.ingest.lanes import Lanes
from collector.ingest.reasons import Reasons
from collector.process.clock import Clock
from collector.process.metrics import IngestMetrics

LOW_MARK_SHARE: Final = 0.9
"""The low mark, as a share of the high one: the gap keeps ingest from switching back and forth."""

LATER_LANES_SHARE: Final = 0.75
"""How much of the high mark may be used before posts of later lanes are refused."""
MOST_MEMORY_SHARE: Final = 0.95
"""Of the server's memory, for posts and everything else together."""
LEAST_MEMORY_SHARE: Final = 0.1
"""Of the server's memory, for posts; with less the server needs attention rather than time."""

_DISK_AGAIN_SHARE: Final = 1.05
"""How much must be free before posts are accepted again, as a share of the required space."""
_RATE_WINDOW_SECONDS: Final = 10.0
_CROWDED: Final = "The queue has no room left for projects that send far more than others."
_SHORTEST_WAIT_SECONDS: Final = 1
_LONGEST_WAIT_SECONDS: Final = 120


@dataclass(frozen=True, slots=True)
class Marks:
    """When ingest begins to refuse: at a share of the queue's memory, or below a free space on its disk.

    `disk` is a folder on the queue's disk, or None if ingest cannot see that disk.
    """

    memory_share: float
    disk: Path | None
    disk_free_bytes: int


class Backpressure:
    """Tracks how full the queue and its disk are, and refuses posts while either is too full."""

    def __init__(self, marks: Marks, clock: Clock, metrics: IngestMetrics, reasons: Reasons) -> None:
        self._marks = marks
        self._clock = clock
        self._metrics = metrics
        self.reasons = reasons
        self.lanes = Lanes()
        self._observed: deque[tuple[float, QueueLoad]] = deque()
        self._appended_bytes = 0
        self._room_bytes = inf
        self._is_full = False
        self.is_crowded = False
        """Whether posts of later lanes are refused."""
        reasons.set_retry_after(QUEUE_FULL, self.retry_after_seconds)

    @property
    def disk(self) -> Path | None:
        """A folder on the queue's disk, or None if ingest cannot see that disk."""
        return self._marks.disk

    def limit_bytes(self) -> int:
        """The memory limit of the queue; 0 if it has none or has not been observed yet."""
        return self._observed[-1][1].limit_bytes if self._observed else 0

    def count_appended(self, size_bytes: int) -> None:
        """Count bytes appended since the last observation: the queue may fill up before the next one."""
        self._appended_bytes += size_bytes
        if self._appended_bytes > self._room_bytes and not self._is_full:
            self._judge(self._observed[-1][1])

    def observe(self, load: QueueLoad) -> None:
        """Judge by a new observation."""
        now = self._clock.monotonic()
        self.lanes.observe(now, load.first_lane)
        self._observed.append((now, load))
        # Keep only the window that the workers' speed is computed from.
        while now - self._observed[0][0] > _RATE_WINDOW_SECONDS:
            self._observed.popleft()
        self._appended_bytes = 0
        self._judge(load)
        self._metrics.queue_used_bytes.set(load.used_bytes)
        self._metrics.queue_server_bytes.set(load.server_bytes)
        self._metrics.queue_limit_bytes.set(load.limit_bytes)

    def note_refused_write(self) -> None:
        """Refuse posts until the next observation: the server has refused a write for lack of memory."""
        self._is_full = True
        self.reasons.put(QUEUE_FULL, "its server is over maxmemory")

    def observe_disk(self, free_bytes: int | None) -> None:
        """Judge by the free space on the queue's disk; None if it cannot be read."""
        required = self._marks.disk_free_bytes
        if free_bytes is not None:
            self._metrics.queue_disk_free_bytes.set(free_bytes)
            self._metrics.queue_disk_required_bytes.set(required)
        # Once posts are refused, a little more must be free: ingest must not switch back and forth.
        if self.reasons.holds(DISK_SHORT):
            required = round(required * _DISK_AGAIN_SHARE)
        is_short = free_bytes is not None and free_bytes < required
        self.reasons.put(
            DISK_SHORT,
            f"{free_bytes} bytes are free, {required} are required (HEADRACE_QUEUE_DISK_FREE_BYTES)"
            if is_short
            else None,
        )

    def retry_after_seconds(self) -> int:
        """How long the workers need to reach the low mark; the longest wait if they drain nothing."""
        if not self._observed:
            return _LONGEST_WAIT_SECONDS
        (began, first), (ended, load) = self._observed[0], self._observed[-1]
        if ended <= began or not load.entries:
            return _LONGEST_WAIT_SECONDS
        # Entries are counted as they leave; assume that they have the average size of those still queued.
        rate = (load.drained - first.drained) * (load.used_bytes / load.entries) / (ended - began)
        if rate <= 0:
            return _LONGEST_WAIT_SECONDS
        excess = load.used_bytes - self._high_mark(load) * LOW_MARK_SHARE
        return round(min(max(excess / rate, _SHORTEST_WAIT_SECONDS), _LONGEST_WAIT_SECONDS))

    def crowded(self) -> Unavailable:
        """The refusal of a post of a later lane."""
        return Unavailable(_CROWDED, retry_after_seconds=self.retry_after_seconds())

    def _high_mark(self, load: QueueLoad) -> float:
        """The memory that posts may use, in bytes."""
        others = max(0, load.server_bytes - load.used_bytes)
        most = load.limit_bytes * MOST_MEMORY_SHARE - others
        return max(0.0, min(load.limit_bytes * self._marks.memory_share, most))

    def _judge(self, load: QueueLoad) -> None:
        # Refuse above the high mark, and then until the low mark is reached.
        share = LOW_MARK_SHARE if self._is_full else 1.0
        used = load.used_bytes + self._appended_bytes
        was_full, is_bounded, mark = self._is_full, bool(load.limit_bytes), self._high_mark(load)
        least = load.limit_bytes * min(LEAST_MEMORY_SHARE, self._marks.memory_share)
        is_short = is_bounded and not load.is_over and mark < least
        others = load.server_bytes - load.used_bytes
        shortage = f"{others} bytes of its {load.limit_bytes} hold other things than posts"
        self.reasons.put(MEMORY_SHORT, shortage if is_short else None)
        self._is_full = load.is_over or (is_bounded and not is_short and used > mark * share)
        self.is_crowded = is_bounded and used > mark * LATER_LANES_SHARE
        next_mark = mark if self.is_crowded else mark * LATER_LANES_SHARE
        self._room_bytes = next_mark - load.used_bytes if is_bounded else inf
        if self._is_full != was_full:
            problem = f"posts use {used} bytes of {mark:.0f}" if self._is_full else None
            self.reasons.put(QUEUE_FULL, problem)

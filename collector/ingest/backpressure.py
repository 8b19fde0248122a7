"""Backpressure: saying 503 before we break, by the bytes that the queue holds and the disk that it has left.

Above the high mark (at most 80 % of the queue's memory, so that tokens, counters and heartbeats can always be
written) posts are refused until the low mark is reached. `Retry-After` is how long the workers need for that,
at the rate at which they have been emptying the queue.
"""

import asyncio
import shutil
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from collector.broker.errors import BrokerUnavailable
from collector.broker.queue_load import QueueLoad
from collector.domain.errors import Unavailable
from collector.process.clock import Clock
from collector.process.metrics import IngestMetrics

LOOK_SECONDS: Final = 0.5
LOW_MARK_SHARE: Final = 0.9
"""Of the high mark: where posts are taken again, so that the door does not flutter."""

_RATE_WINDOW_SECONDS: Final = 10.0
_SHORTEST_WAIT_SECONDS: Final = 1
_LONGEST_WAIT_SECONDS: Final = 120

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Marks:
    """Where the door begins to refuse: a share of the queue's memory, and bytes left on its disk.

    `disk` is a folder on the queue's disk, or None where the door cannot see it.
    """

    memory_share: float
    disk: Path | None
    disk_free_bytes: int


class Backpressure:
    """Knows whether posts are refused just now, and for how long."""

    def __init__(self, marks: Marks, clock: Clock, metrics: IngestMetrics) -> None:
        self._marks = marks
        self._clock = clock
        self._metrics = metrics
        self._looks: deque[tuple[float, QueueLoad]] = deque()
        self._taken_bytes = 0
        self._is_full = False
        self._disk_free_bytes: int | None = None

    @property
    def refuses(self) -> bool:
        """Whether a post is refused now."""
        return self._is_full or self._is_disk_short

    def limit_bytes(self) -> int:
        """How much memory the queue may take; 0 where it has no limit or has said nothing yet."""
        return self._looks[-1][1].limit_bytes if self._looks else 0

    def check(self) -> None:
        """Raise Unavailable while posts are refused."""
        if self._is_full:
            raise Unavailable("The queue is full.", retry_after_seconds=self.retry_after_seconds())
        if self._is_disk_short:
            raise Unavailable("The queue's disk is full.", retry_after_seconds=_LONGEST_WAIT_SECONDS)

    def took(self, size_bytes: int) -> None:
        """Count what went to the queue since the last look: it may come faster than looks do."""
        self._taken_bytes += size_bytes
        if self._looks and not self._is_full:
            self._judge(self._looks[-1][1])

    def observe(self, load: QueueLoad) -> None:
        """Judge by a new look at the queue."""
        now = self._clock.monotonic()
        self._looks.append((now, load))
        while now - self._looks[0][0] > _RATE_WINDOW_SECONDS:
            self._looks.popleft()
        self._taken_bytes = 0
        self._judge(load)
        self._metrics.queue_used_bytes.set(load.used_bytes)
        self._metrics.queue_limit_bytes.set(load.limit_bytes)

    def observe_disk(self, free_bytes: int | None) -> None:
        """Judge by what is left on the queue's disk."""
        was_short = self._is_disk_short
        self._disk_free_bytes = free_bytes
        if self._is_disk_short != was_short:
            _log.warning("queue's disk", is_short=self._is_disk_short, free_bytes=free_bytes)

    def retry_after_seconds(self) -> int:
        """How long the workers need until the low mark; the longest wait when they empty nothing."""
        rate = self._drained_bytes_per_second() if self._looks else 0.0
        if rate <= 0:
            return _LONGEST_WAIT_SECONDS
        load = self._looks[-1][1]
        excess = load.used_bytes - self._high_mark(load) * LOW_MARK_SHARE
        return round(min(max(excess / rate, _SHORTEST_WAIT_SECONDS), _LONGEST_WAIT_SECONDS))

    async def keep_looking(self, look: Callable[[], Awaitable[QueueLoad]]) -> None:
        """Look twice a second, for ever. While the queue cannot be asked, the last judgement stands."""
        while True:
            try:
                self.observe(await look())
                if self._marks.disk is not None:
                    self.observe_disk(await asyncio.to_thread(_free_bytes, self._marks.disk))
            except BrokerUnavailable:
                pass  # Posts find out by themselves and say so.
            await asyncio.sleep(LOOK_SECONDS)

    @property
    def _is_disk_short(self) -> bool:
        return self._disk_free_bytes is not None and self._disk_free_bytes < self._marks.disk_free_bytes

    def _high_mark(self, load: QueueLoad) -> float:
        return load.limit_bytes * self._marks.memory_share

    def _judge(self, load: QueueLoad) -> None:
        if not load.limit_bytes:
            self._is_full = False
            return
        share = LOW_MARK_SHARE if self._is_full else 1.0
        was_full, used = self._is_full, load.used_bytes + self._taken_bytes
        self._is_full = used > self._high_mark(load) * share
        if self._is_full != was_full:
            _log.warning("queue", is_full=self._is_full, used_bytes=used, limit_bytes=load.limit_bytes)

    def _drained_bytes_per_second(self) -> float:
        """Entries that left, at the size that those in the queue have on average."""
        (began, first), (ended, last) = self._looks[0], self._looks[-1]
        if ended <= began or not last.entries:
            return 0.0
        entry_bytes = last.used_bytes / last.entries
        return (last.drained - first.drained) * entry_bytes / (ended - began)


def _free_bytes(folder: Path) -> int | None:
    """What is left for the server's user; None when the folder cannot be seen."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None

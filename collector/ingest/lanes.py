"""Decides the lane of each post: a project that sends far more than others waits behind them.

The worker reads each lane independently, so the backlog of one delays no post in another. This process
charges every project for what its posts cost, and the charges decay within seconds: they measure its rate. A
project above the allowance goes to the second lane, one far above to the third. The allowance shrinks while
the first lane has a backlog: then those who send the most leave it, until the worker keeps up with the
others. It limits no project: a project alone has all of the worker in any lane.

A post's cost is not known without reading it. Each post is charged one event and its bytes; the events in it
are counted for a random sample of posts, and charged for all posts that the sample stands for. The more
events a post may hold, the more likely it is counted: no kind of post is systematically charged too little.
"""

import random
from functools import lru_cache
from math import exp
from typing import Final

from collector.broker.queue.queue_load import LaneLoad
from collector.domain.intake.cost import BYTES_PER_EVENT, estimated_events, potential_events
from collector.domain.post import Post

LARGEST_ALLOWANCE: Final = 400.0
"""The charge a second of one project in this process: some 200 events."""
SMALLEST_ALLOWANCE: Final = 1.0
DECAY_SECONDS: Final = 10.0
"""The time in which a charge falls to a third; a project may send the allowance of this time in a burst."""
LANE_FACTOR: Final = 8
"""Each later lane begins at this many times the charge."""
COUNTED_EVENTS: Final = 8_000
"""The smallest number of events that a post may hold for it to be counted always."""
_LARGEST_CHARGE: Final = 32
"""In bursts: whatever it sent, a project is back in the first lane after 35 seconds of modest posts."""
_COUNTED_LESS: Final = 8
"""A project in a later lane is counted less often: an estimate for its lane needs fewer samples."""
_SHRINK: Final = 0.5
_GROW: Final = 1.25
_LEAST_SECONDS: Final = 0.4
"""Between two adaptations: requests of the readiness route measure the queue as well."""
_MOST_PROJECTS: Final = 100_000
"""With charges; beyond it all are forgiven, which only costs fairness."""


class Lanes:
    """The charges of all projects, which are their lanes."""

    def __init__(self) -> None:
        self.allowance = LARGEST_ALLOWANCE
        self._charges: dict[bytes, float] = {}
        self._measured: tuple[float, LaneLoad] | None = None
        self._burst = self.allowance * DECAY_SECONDS

    def charge(self, post: Post) -> int:
        """Charge the post to its project and return its lane, counted from 0."""
        charge = self._charges.get(post.project_id, 0.0)
        size = len(post.body)
        share = _share(size, post.content_encoding)
        if charge > self._burst:
            share /= _COUNTED_LESS
        # Every post costs something. Events are counted in a sample of the posts, and extrapolated.
        charge += 1 + size // BYTES_PER_EVENT
        if random.random() < share:  # noqa: S311 - a sample, not a secret
            charge += estimated_events(post) / min(share, 1.0)
        self._charges[post.project_id] = charge
        # The first lane, the second, or the one for projects far beyond their share.
        if charge <= self._burst:
            return 0
        return 1 if charge <= self._burst * LANE_FACTOR else 2

    def observe(self, now: float, first_lane: LaneLoad) -> None:
        """Let the charges decay since the last call, and adapt the allowance to the first lane."""
        began, before = self._measured or (now, first_lane)
        if now - began < _LEAST_SECONDS and self._measured is not None:
            return
        self._measured = now, first_lane
        rest, largest = exp((began - now) / DECAY_SECONDS), self._burst * _LARGEST_CHARGE
        self._charges = {
            project_id: min(charge, largest) * rest
            for project_id, charge in self._charges.items()
            if charge > 1
        }
        if len(self._charges) > _MOST_PROJECTS:
            self._charges.clear()
        # A backlog that falls needs no further change.
        if first_lane.is_behind(before):
            if first_lane.unread >= before.unread:
                self.allowance = max(self.allowance * _SHRINK, SMALLEST_ALLOWANCE)
        else:
            self.allowance = min(self.allowance * _GROW, LARGEST_ALLOWANCE)
        self._burst = self.allowance * DECAY_SECONDS


@lru_cache(maxsize=4096)
def _share(sent_bytes: int, content_encoding: str) -> float:
    """The share of posts like this that are counted."""
    return potential_events(sent_bytes, content_encoding) / COUNTED_EVENTS

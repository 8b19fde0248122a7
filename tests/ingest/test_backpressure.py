"""Backpressure by bytes: the marks, `Retry-After`, and the disk."""

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from collector.broker.queue.queue_load import QueueLoad
from collector.domain.errors import Unavailable
from collector.domain.reasons import MEMORY_SHORT, REASONS
from collector.ingest.backpressure import Backpressure, Marks
from collector.ingest.reasons import Reasons
from collector.process.metrics import IngestMetrics
from tests.support.fakes import FakeClock

LIMIT = 1000


def _backpressure(clock: FakeClock) -> Backpressure:
    metrics = IngestMetrics(CollectorRegistry())
    return Backpressure(Marks(0.8, Path("/"), 50), clock, metrics, Reasons(clock, metrics))


def _load(
    used: int, *, entries: int = 100, added: int = 100, limit: int = LIMIT, others: int = 0
) -> QueueLoad:
    return QueueLoad(
        used_bytes=used, limit_bytes=limit, entries=entries, added=added, server_bytes=used + others
    )


def test_posts_are_refused_above_the_high_mark_and_accepted_again_below_the_low_one() -> None:
    """Between the marks nothing changes."""
    pressure = _backpressure(FakeClock())
    judged = []

    for used in (0, 799, 801, 750, 719, 750):
        pressure.observe(_load(used))
        judged.append(pressure.reasons.refuses)

    assert judged == [False, False, True, True, False, False]


def test_the_memory_limit_is_known_after_the_first_observation() -> None:
    """The bound on heartbeats depends on it."""
    pressure = _backpressure(FakeClock())
    at_first = pressure.limit_bytes()

    pressure.observe(_load(0))

    assert (at_first, pressure.limit_bytes()) == (0, LIMIT)


def test_a_queue_without_a_limit_is_never_full() -> None:
    """If the operator has accepted that (`relaxed`); otherwise it is a separate reason."""
    pressure = _backpressure(FakeClock())

    pressure.observe(_load(10**12, limit=0))

    assert not pressure.reasons.refuses


def test_posts_since_the_last_observation_count() -> None:
    """The queue may fill up between observations."""
    pressure = _backpressure(FakeClock())
    pressure.observe(_load(700))

    judged = []
    for size_bytes in (50, 60):
        pressure.count_appended(size_bytes)
        judged.append(pressure.reasons.refuses)
    pressure.observe(_load(600))
    judged.append(pressure.reasons.refuses)

    assert judged == [False, True, False]


def test_retry_after_is_the_time_that_the_workers_need() -> None:
    """20 entries of 9 bytes leave a second, 180 bytes a second; 1800 bytes are too many: 10 seconds."""
    clock = FakeClock()
    pressure = _backpressure(clock)
    pressure.observe(_load(9000, entries=1100, added=2000, limit=10_000))
    clock.advance(5)
    pressure.observe(_load(9000, entries=1000, added=2000, limit=10_000))

    with pytest.raises(Unavailable) as caught:
        pressure.reasons.check()

    assert caught.value.retry_after_seconds == 10


def test_retry_after_is_long_but_bounded_when_nothing_is_drained() -> None:
    """Without a worker it is two minutes."""
    clock = FakeClock()
    pressure = _backpressure(clock)
    assert pressure.retry_after_seconds() == 120
    pressure.observe(_load(900))
    clock.advance(5)
    pressure.observe(_load(900))

    assert pressure.retry_after_seconds() == 120


def test_only_the_last_seconds_decide_the_rate() -> None:
    """A worker that stopped a minute ago drains nothing now."""
    clock = FakeClock()
    pressure = _backpressure(clock)
    pressure.observe(_load(900, entries=1000, added=1000))
    clock.advance(1)
    pressure.observe(_load(900, entries=100, added=1000))
    clock.advance(60)
    pressure.observe(_load(900, entries=100, added=1000))
    clock.advance(1)
    pressure.observe(_load(900, entries=100, added=1000))

    assert pressure.retry_after_seconds() == 120


@pytest.mark.parametrize(
    ("free_bytes", "refuses"), [(49, True), (50, False), (None, False)], ids=["short", "enough", "unseen"]
)
def test_posts_are_refused_while_the_disk_is_short(free_bytes: int | None, refuses: bool) -> None:  # noqa: FBT001
    """On a full disk the queue's server would stop."""
    pressure = _backpressure(FakeClock())

    pressure.observe_disk(free_bytes)

    assert pressure.reasons.refuses is refuses
    if refuses:
        with pytest.raises(Unavailable, match="disk"):
            pressure.reasons.check()


def test_what_else_redis_holds_is_no_full_queue() -> None:
    """Nothing would drain it. Posts get what is left, and less than a tenth is a reason with its own name."""
    pressure = _backpressure(FakeClock())
    judged = []

    for used, others in ((0, 200), (700, 300), (500, 300), (0, 840), (0, 860)):
        pressure.observe(_load(used, others=others))
        judged.append([reason.name for reason in REASONS if pressure.reasons.holds(reason)])

    assert judged == [[], ["queue_full"], [], [], ["memory_short"]]
    assert pressure.reasons.problem(MEMORY_SHORT) == (
        "The queue's server has no memory left for posts: 860 bytes of its 1000 hold other things than posts"
    )


def test_posts_of_later_lanes_are_refused_first() -> None:
    """At three quarters of the high mark; the others and the readiness notice nothing."""
    pressure = _backpressure(FakeClock())
    judged = []

    for used in (590, 610, 590):
        pressure.observe(_load(used))
        judged.append((pressure.is_crowded, pressure.reasons.refuses))
    pressure.count_appended(20)
    judged.append((pressure.is_crowded, pressure.reasons.refuses))

    assert judged == [(False, False), (True, False), (False, False), (True, False)]
    assert pressure.crowded().retry_after_seconds

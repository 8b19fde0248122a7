"""The metrics of every process, and the histogram of events."""

import gc
import time

from prometheus_client import CollectorRegistry

from collector.process.metrics import LOOP_CHECK_SECONDS, EventHistogram, ProcessMetrics, exposition
from tests.support.waiting import until


def test_a_histogram_of_events_counts_many_in_one_call() -> None:
    """Each bucket includes the smaller ones, and a value on a bound is in its bucket."""
    registry = CollectorRegistry()
    histogram = EventHistogram("age_seconds", "Ages.", (0.5, 1), registry)
    histogram.observe(0.5, 3)
    histogram.observe(0.7)
    histogram.observe(90, 2)

    assert exposition(registry).decode().splitlines()[2:] == [
        'age_seconds_bucket{le="0.5"} 3.0',
        'age_seconds_bucket{le="1.0"} 4.0',
        'age_seconds_bucket{le="+Inf"} 6.0',
        "age_seconds_count 6.0",
        "age_seconds_sum 182.2",
    ]


async def test_a_blocked_event_loop_and_long_collections_are_measured() -> None:
    """A collection of the oldest generation counts; after the block nothing is measured any more."""
    registry = CollectorRegistry()

    def measured(name: str) -> float:
        return registry.get_sample_value(f"headrace_{name}") or 0.0

    with ProcessMetrics(registry).watched():
        until_free = time.perf_counter() + LOOP_CHECK_SECONDS + 0.1
        while time.perf_counter() < until_free:
            pass  # blocks the loop
        await until(lambda: measured("event_loop_lag_seconds_count") > 0, 20, "the timer")
        gc.collect(0)
        gc.collect()
    pauses = measured("gc_pause_seconds_count")
    gc.collect()

    assert measured("event_loop_lag_seconds_sum") >= 0.09
    assert pauses >= 1
    assert measured("gc_pause_seconds_count") == pauses


def test_a_pool_is_counted_when_it_is_asked() -> None:
    registry, in_use = CollectorRegistry(), 1
    ProcessMetrics(registry).watch_pool("redis_api", 16, lambda: in_use, lambda: 2)
    in_use = 5

    def connections(state: str) -> float | None:
        return registry.get_sample_value("headrace_pool_connections", {"pool": "redis_api", "state": state})

    assert (connections("in_use"), connections("idle")) == (5, 2)
    assert registry.get_sample_value("headrace_pool_limit_connections", {"pool": "redis_api"}) == 16

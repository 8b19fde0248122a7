"""How old events are when they are stored and readable."""

from datetime import timedelta
from functools import partial
from uuid import UUID

import asyncpg
import pytest
from prometheus_client import CollectorRegistry

from collector.database.errors import DatabaseUnavailable
from collector.database.search.overview import is_readable
from collector.database.writing.store import BatchStore
from collector.process.metrics import WorkerMetrics
from tests.database.rows import an_event, normalized, today
from tests.support.fakes import clock_of
from worker.measuring import MeasuringStore

pytestmark = pytest.mark.integration


def sample(registry: CollectorRegistry, name: str) -> float | None:
    return registry.get_sample_value(f"headrace_accepted_to_{name}")


async def test_the_age_of_events_is_measured_when_they_are_stored_and_read_back(
    pool: asyncpg.Pool,
) -> None:
    """All events of a batch count; a replay is measured no second time, and reading back has its pace."""
    registry, clock = CollectorRegistry(), clock_of(today() + timedelta(seconds=2))
    store = MeasuringStore(BatchStore(pool), partial(is_readable, pool), WorkerMetrics(registry), clock)
    batch = normalized(an_event(), an_event())

    await store.save([batch])
    await store.save([batch])
    await store.save([normalized(an_event())])

    assert sample(registry, "stored_seconds_count") == 3
    assert 5.9 < (sample(registry, "stored_seconds_sum") or 0) <= 6
    assert sample(registry, "readable_seconds_count") == 1
    clock.advance(1)
    await store.save([normalized(an_event())])
    assert sample(registry, "readable_seconds_count") == 2


async def test_an_outage_while_reading_back_fails_no_transaction(pool: asyncpg.Pool) -> None:
    """The events are stored."""
    registry = CollectorRegistry()

    async def is_gone(_: UUID) -> bool:
        raise DatabaseUnavailable("gone")

    store = MeasuringStore(BatchStore(pool), is_gone, WorkerMetrics(registry), clock_of(today()))

    assert (await store.save([normalized(an_event())])).stored == 1
    assert sample(registry, "readable_seconds_count") == 0

"""Periodic jobs of the worker, each in a loop that survives failures."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg
import pytest
from prometheus_client import CollectorRegistry

from collector.broker.errors import BrokerFull, BrokerUnavailable
from collector.broker.queue.post_stream import ShardBacklog
from collector.database.pool import close_pool, create_pool
from collector.database.schema.partitions import maintain_partitions
from collector.database.schema.word_indexes import prepare_word_indexes
from collector.database.writing.store import BatchStore
from collector.domain.session.session import Beat
from collector.process.lifecycle import Stop
from collector.process.metrics import WorkerMetrics
from tests.database.rows import a_letter, normalized
from tests.support.factories import PROJECT
from tests.support.waiting import until
from worker import maintenance
from worker.maintenance import (
    Job,
    Sweep,
    WordIndexing,
    apply_heartbeats,
    measure_backlog,
    measure_storage,
    measure_word_indexes,
    run_periodically,
)


class Counting:
    """A job that counts its runs and fails as often as it is set to."""

    def __init__(self, failures: int = 0) -> None:
        self.runs = 0
        self._failures = failures

    async def __call__(self) -> None:
        self.runs += 1
        if self.runs <= self._failures:
            raise BrokerUnavailable("gone")


@asynccontextmanager
async def _doing(job: Job, metrics: WorkerMetrics) -> AsyncIterator[None]:
    stop = Stop()
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        tasks.create_task(run_periodically(job, stop, metrics))
        yield
        stop.request()


@pytest.fixture
def registry() -> CollectorRegistry:
    """Where the metrics of one test go."""
    return CollectorRegistry()


async def test_a_job_runs_immediately_and_periodically(registry: CollectorRegistry) -> None:
    run = Counting()

    async with _doing(Job("job", 0.01, run), WorkerMetrics(registry)):
        await until(lambda: run.runs >= 3)


async def test_a_job_that_fails_is_counted_and_tried_again(registry: CollectorRegistry) -> None:
    """A failure neither ends it nor affects other jobs."""
    run = Counting(failures=2)

    async with _doing(Job("job", 0.01, run), WorkerMetrics(registry)):
        await until(lambda: run.runs >= 3)

    assert registry.get_sample_value("headrace_maintenance_failures_total", {"task": "job"}) == 2


async def test_a_job_ends_with_the_process(registry: CollectorRegistry) -> None:
    """However long its pause."""
    run = Counting()

    async with _doing(Job("job", 3600, run), WorkerMetrics(registry)):
        await until(lambda: run.runs == 1)

    assert run.runs == 1


async def test_the_first_sweep_is_remembered_and_every_one_counted(registry: CollectorRegistry) -> None:
    """A worker is ready only once ingest has the tokens."""
    sweep = Sweep(Counting(failures=1), WorkerMetrics(registry))

    with pytest.raises(BrokerUnavailable):
        await sweep()
    is_done_before = sweep.is_done
    await sweep()

    assert (is_done_before, sweep.is_done) == (False, True)
    assert registry.get_sample_value("headrace_projection_sweeps_total", {"result": "failed"}) == 1
    assert registry.get_sample_value("headrace_projection_sweeps_total", {"result": "done"}) == 1


async def test_a_worker_is_ready_if_only_a_full_queue_prevents_the_sweep(
    registry: CollectorRegistry,
) -> None:
    """It empties the queue, so it must not be restarted for this."""

    async def refused() -> None:
        raise BrokerFull("over maxmemory")

    sweep = Sweep(refused, WorkerMetrics(registry))

    with pytest.raises(BrokerFull):
        await sweep()

    assert sweep.is_done
    assert registry.get_sample_value("headrace_projection_sweeps_total", {"result": "failed"}) == 1


async def test_the_backlog_is_published_by_shard(registry: CollectorRegistry) -> None:
    """If Redis does not know the lag, it is what is neither read nor deleted.

    A shard no longer in use has none.
    """
    shards = [ShardBacklog(0, length=9, lag=4, pending=2), ShardBacklog(1, length=9, lag=None, pending=2)]

    class Shards:
        async def backlog(self) -> list[ShardBacklog]:
            return shards

    metrics = WorkerMetrics(registry)

    def lags() -> list[float | None]:
        return [registry.get_sample_value("headrace_stream_lag", {"shard": shard}) for shard in "01"]

    await measure_backlog([Shards()], metrics)
    both = lags()
    pending = registry.get_sample_value("headrace_stream_pending", {"shard": "0"})
    shards.pop()
    await measure_backlog([Shards()], metrics)

    assert (both, pending) == ([4, 7], 2)
    assert lags() == [4, None]


class Waiting:
    """A stream with some unread entries."""

    def __init__(self, lag: int) -> None:
        self.lag = lag

    async def backlog(self) -> list[ShardBacklog]:
        return [ShardBacklog(0, length=self.lag, lag=None, pending=0)]


@pytest.mark.integration
async def test_words_are_indexed_while_few_posts_wait(database_url: str, registry: CollectorRegistry) -> None:
    pool = await create_pool(database_url, max_size=2)
    await prepare_word_indexes(pool)
    await pool.execute("CREATE TABLE events_20251101 (LIKE events INCLUDING ALL)")
    await pool.execute(
        "ALTER TABLE events ATTACH PARTITION events_20251101 FOR VALUES"
        " FROM ('019a3cf3-1c00-0000-0000-000000000000') TO ('019a421a-0000-0000-0000-000000000000')"
    )
    metrics, stream, missing = WorkerMetrics(registry), Waiting(100_000), []
    indexing = WordIndexing(pool, [stream], metrics)
    for stream.lag in (100_000, 1):
        await indexing()
        await measure_word_indexes(pool, metrics)
        missing.append(registry.get_sample_value("headrace_word_index_days", {"state": "missing"}))
    await close_pool(pool)

    assert missing == [1, 0]
    assert registry.get_sample_value("headrace_word_index_days", {"state": "indexed"}) == 1


async def test_indexing_words_rests_after_a_failure(
    monkeypatch: pytest.MonkeyPatch, registry: CollectorRegistry
) -> None:
    """A disk that fills up is not filled again and again."""
    times, runs = iter([0.0, 0.0, 1.0, 100.0, 4000.0, 4000.0]), Counting(failures=1)
    monkeypatch.setattr(maintenance, "build_word_index", lambda *_: runs())
    indexing = WordIndexing(None, [Waiting(0)], WorkerMetrics(registry), lambda: next(times))

    with pytest.raises(BrokerUnavailable):
        await indexing()
    await indexing()
    assert runs.runs == 1
    await indexing()
    assert runs.runs == 2
    failed = {"result": "failed"}
    assert registry.get_sample_value("headrace_word_index_build_seconds_sum", failed) == 1.0


@pytest.mark.integration
async def test_what_postgres_holds_is_published(pool: asyncpg.Pool, registry: CollectorRegistry) -> None:
    """A reason whose dead letters are gone shows none instead of its last figure."""
    metrics = WorkerMetrics(registry)
    await maintain_partitions(pool, retention_days=90, days_ahead=3)
    metrics.count(await BatchStore(pool).save([normalized(dead_letters=[a_letter()])]))

    await measure_storage(pool, metrics)
    reason = {"reason": "corrupt_encoding"}
    kept = registry.get_sample_value("headrace_dead_letters_kept", reason)
    await pool.execute("DELETE FROM dead_letters")
    await measure_storage(pool, metrics)

    assert kept == 1
    assert registry.get_sample_value("headrace_dead_letters_total", reason) == 1
    assert registry.get_sample_value("headrace_dead_letters_kept", reason) is None
    assert (registry.get_sample_value("headrace_partitions_ahead") or 0) >= 3
    assert (registry.get_sample_value("headrace_database_bytes") or 0) > 1_000_000


class ManyHeartbeats:
    """Full pages of heartbeats without a stored session."""

    def __init__(self, number: int) -> None:
        self.waiting = [Beat(PROJECT, number.to_bytes(20, "big"), 1) for number in range(number)]
        self.put_off_later: list[Beat] = []

    async def due(self, limit: int) -> list[Beat]:
        return self.waiting[:limit]

    async def forget(self, beats: Sequence[Beat]) -> None:
        assert not beats

    async def put_off(self, beats: Sequence[Beat]) -> None:
        self.put_off_later += beats
        self.waiting = [beat for beat in self.waiting if beat not in beats]


@pytest.mark.integration
async def test_heartbeats_without_a_session_are_kept_for_later(database_url: str) -> None:
    """Page by page, until none is due."""
    heartbeats = ManyHeartbeats(1200)
    pool = await create_pool(database_url, max_size=1)

    await apply_heartbeats(heartbeats, pool)
    await close_pool(pool)

    assert len(heartbeats.put_off_later) == 1200

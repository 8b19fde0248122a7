"""The loop from the stream to the store, on fakes: nothing is acknowledged before it is stored."""

import asyncio
import gzip
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from collector.broker.errors import BrokerFull, BrokerUnavailable
from collector.broker.queue import post_batch
from collector.broker.queue.bounded_reads import SHARED_DELIVERIES
from collector.broker.queue.post_stream import StreamEntry
from collector.database.errors import DatabaseUnavailable, TooManyRejected
from collector.domain.event.outcome import DeadLetterReason, NormalizedBatch
from collector.domain.intake.normalize import NormalizedPost, normalize, rules_from_settings
from collector.domain.post import Post, PostBatch
from collector.domain.project.rules import DEFAULT_RULES
from collector.process.lifecycle import Stop
from collector.process.metrics import WorkerMetrics
from tests.support.factories import PROJECT, a_batch, a_post
from tests.support.fakes import FakeClock
from tests.support.waiting import until
from tests.worker.fakes import FakeProjects, FakeStore, FakeStream, normalized
from worker.batch import Piece, normalize_piece
from worker.consumer import FORGET_CONSUMER_MS, MOST_DELIVERIES, SLOTS, Consumer, Pace
from worker.holding import MOST_IN_A_ROW

GONE = DatabaseUnavailable("gone")
TRANSACTION_WEIGHT = 2_000
"""Instead of the real one, which takes seconds to normalize on a busy machine."""


@pytest.fixture(autouse=True)
def small_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Transactions take a tenth of what they usually do."""
    monkeypatch.setattr("worker.batch.TRANSACTION_WEIGHT", TRANSACTION_WEIGHT)
    monkeypatch.setattr("worker.consumer.TRANSACTION_WEIGHT", TRANSACTION_WEIGHT)


@dataclass(slots=True)
class Scene:
    """A consumer and everything that it uses."""

    clock: FakeClock = field(default_factory=FakeClock)
    store: FakeStore = field(default_factory=FakeStore)
    projects: FakeProjects = field(default_factory=FakeProjects)
    stop: Stop = field(default_factory=Stop)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    stream: FakeStream = field(init=False)
    consumer: Consumer = field(init=False)

    def __post_init__(self) -> None:
        self.stream = FakeStream(self.clock)
        self.consumer = self.another("one", WorkerMetrics(self.registry))

    def another(self, name: str, metrics: WorkerMetrics) -> Consumer:
        """Another member of the group."""
        return Consumer(
            name,
            self.stream,
            self.store,
            self.projects,
            rules_from_settings(200_000, 3),
            metrics,
            self.clock,
            Pace(batch_entries=2, read_block_ms=5, claim_idle_seconds=15, unpacked_bytes=400_000),
        )

    def counted(self, name: str, **labels: str) -> float:
        """The value of a counter."""
        return self.registry.get_sample_value(f"headrace_{name}_total", labels) or 0.0


@pytest.fixture
def scene() -> Scene:
    """An empty stream and a store that works."""
    return Scene()


@asynccontextmanager
async def _running(scene: Scene) -> AsyncIterator[asyncio.Task[None]]:
    """Run the consumer, and stop it at the end."""
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        task = tasks.create_task(scene.consumer.run(scene.stop))
        yield task
        scene.stop.request()


async def test_entries_are_stored_and_acknowledged(scene: Scene) -> None:
    """In as many transactions as the pace requires."""
    for number in range(5):
        await scene.stream.append(0, a_batch(a_post(body=b"line %d" % number)))

    async with _running(scene):
        await until(lambda: scene.stream.is_drained)

    assert [event.message for event in scene.store.events] == [f"line {number}" for number in range(5)]
    assert scene.store.attempts == 3
    assert scene.counted("events", outcome="stored") == 5


async def test_small_entries_are_collected_for_a_transaction(scene: Scene) -> None:
    """As many as the pace allows."""
    scene.consumer.pace = Pace(batch_entries=100, read_block_ms=5)
    for _ in range(150):
        await scene.stream.append(0, a_batch())

    async with _running(scene):
        await until(lambda: scene.stream.is_drained)

    assert scene.store.attempts == 2
    assert len(scene.store.events) == 150


async def test_large_entries_are_collected_by_their_decompressed_size(scene: Scene) -> None:
    """In the stream they are only a few hundred bytes each."""
    for _ in range(40):
        await scene.stream.append(0, a_batch(a_post(body=b"x" * 100_000)))
    scene.consumer.pace = Pace(batch_entries=100, read_block_ms=5)

    async with _running(scene):
        await until(lambda: scene.stream.is_drained)

    assert scene.store.attempts == 4


async def test_the_decompressed_bytes_in_memory_are_bounded(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over all slots. An entry larger than the bound is processed alone."""
    used: list[int] = []

    def normalize_noted(*arguments: Any) -> Piece:
        used.append(scene.consumer.room.used_bytes)
        return normalize_piece(*arguments)

    monkeypatch.setattr("worker.consumer.normalize_piece", normalize_noted)
    for number in range(24):
        await scene.stream.append(0, a_batch(a_post(body=b"x" * (900_000 if number == 7 else 90_000))))

    async with _running(scene):
        await until(lambda: scene.stream.is_drained)

    [large] = [each for each in used if each > 400_000]
    assert 900_000 < large < 901_000
    assert sorted(used)[-2] > 360_000  # two slots at a time, with two entries each
    assert scene.consumer.room.used_bytes == 0


async def test_rows_count_from_their_making_until_they_are_stored(scene: Scene) -> None:
    """Posts that weigh little become many rows: those of two slots together would be above the limit."""
    scene.consumer.pace = Pace(batch_entries=1, read_block_ms=5)
    scene.store.gate = asyncio.Semaphore(0)
    body = b"[" + b",".join([b"{}"] * 300) + b"]"
    for _ in range(6):
        await scene.stream.append(0, a_batch(a_post(body=body)))

    async with _running(scene):
        await until(lambda: scene.store.attempts == 1)
        await until(lambda: len(scene.consumer.in_hand) == SLOTS)
        waiting = scene.store.attempts
        used = scene.consumer.row_room.used_bytes
        for _ in range(6):
            scene.store.gate.release()
        await until(lambda: scene.stream.is_drained)

    assert (waiting, len(scene.store.events)) == (1, 1800)
    assert 300_000 < used < 400_000
    assert scene.consumer.row_room.used_bytes == 0


async def test_slots_take_turns_to_normalize(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each normalizes everything that it has read, so one can store while another normalizes."""
    normalized: list[str] = []

    def normalize_noted(entry: StreamEntry, *arguments: Any) -> Piece:
        normalized.append(entry.id)
        return normalize_piece(entry, *arguments)

    monkeypatch.setattr("worker.consumer.normalize_piece", normalize_noted)
    for _ in range(8):
        await scene.stream.append(0, a_batch())

    async with _running(scene):
        await until(lambda: scene.stream.is_drained)

    assert normalized == sorted(normalized)


async def test_a_batch_is_acknowledged_only_once_stored(scene: Scene) -> None:
    """While Postgres is down nothing is acknowledged; when it is back the same batch is stored."""
    scene.store.failures = [GONE, GONE]
    scene.store.gate = asyncio.Semaphore(0)
    await scene.stream.append(0, a_batch())

    async with _running(scene):
        for attempt in (1, 2):
            await until(lambda number=attempt: scene.store.attempts == number)  # type: ignore[misc]
            assert scene.stream.acknowledged == []
            scene.store.gate.release()
        await until(lambda: scene.store.attempts == 3)
        assert scene.stream.acknowledged == []
        scene.store.gate.release()
        await until(lambda: scene.stream.is_drained)

    assert len(scene.store.events) == 1
    assert scene.counted("store_failures", cause="database_unavailable") == 2


async def test_a_failure_is_visible_while_it_lasts(scene: Scene) -> None:
    """The worker is not ready while it cannot store."""
    scene.store.failures = [GONE]
    await scene.stream.append(0, a_batch())

    async with _running(scene):
        await until(lambda: scene.consumer.last_error == "database_unavailable: gone")
        await until(lambda: scene.stream.is_drained)
        await until(lambda: scene.consumer.last_error is None)


async def test_a_bug_in_storing_stops_nothing_and_loses_nothing(scene: Scene) -> None:
    """It is counted separately, and the entry waits for a fix."""
    scene.store.failures = [asyncpg.UndefinedTableError("no table")]
    await scene.stream.append(0, a_batch())

    async with _running(scene):
        await until(lambda: scene.stream.is_drained)

    assert len(scene.store.events) == 1
    assert scene.counted("store_failures", cause="unforeseen") == 1


async def test_a_worker_that_stops_in_an_outage_leaves_its_batch(scene: Scene) -> None:
    """The entry stays in the stream for another worker to claim."""
    scene.store.failures = [GONE] * 1000
    await scene.stream.append(0, a_batch())

    async with _running(scene) as running:
        await until(lambda: scene.consumer.last_error is not None)
        scene.stop.request()
        await running

    assert scene.stream.acknowledged == []
    assert not scene.stream.is_drained


async def test_a_worker_that_stops_finishes_its_batches(scene: Scene) -> None:
    """Those of all slots; it reads no others."""
    scene.store.gate = asyncio.Semaphore(0)
    in_hand = SLOTS * scene.consumer.pace.batch_entries
    for _ in range(in_hand + 1):
        await scene.stream.append(0, a_batch())

    async with _running(scene) as running:
        await until(lambda: scene.store.attempts == SLOTS)
        scene.stop.request()
        for _ in range(SLOTS):
            scene.store.gate.release()
        await running

    assert len(scene.store.events) == in_hand
    assert len(scene.stream.acknowledged) == in_hand
    assert not scene.stream.is_drained


async def test_one_slot_stores_while_another_waits(scene: Scene) -> None:
    """A batch that cannot be stored yet delays only itself."""
    scene.store.failures = [GONE]
    scene.store.gate = asyncio.Semaphore(0)
    for _ in range(4):
        await scene.stream.append(0, a_batch())

    async with _running(scene):
        await until(lambda: scene.store.attempts == 2)
        scene.store.gate.release()
        await until(lambda: scene.consumer.last_error is not None)
        scene.store.gate.release()
        await until(lambda: len(scene.stream.acknowledged) == 2)
        assert scene.consumer.last_error is not None
        scene.store.gate.release()
        await until(lambda: scene.stream.is_drained)
        await until(lambda: scene.consumer.last_error is None)

    assert len(scene.store.events) == 4


async def test_a_slot_does_not_claim_the_entries_of_another(scene: Scene) -> None:
    """A slow transaction does not mean a dead worker; its claim is renewed."""
    scene.store.gate = asyncio.Semaphore(0)
    await scene.stream.append(0, a_batch())

    async with _running(scene):
        await until(lambda: scene.store.attempts == 1)
        claims = scene.stream.calls.count("claim")
        scene.clock.advance(20)
        await until(lambda: scene.stream.calls.count("claim") > claims)
        await until(lambda: scene.stream.calls[-1] == "read")
        assert scene.store.attempts == 1
        scene.store.gate.release()
        await until(lambda: scene.stream.is_drained)

    assert scene.counted("entries_claimed") == 0


async def test_the_worker_pauses_while_the_store_rejects_most_events(scene: Scene) -> None:
    """Nothing is acknowledged, the worker says so, and continues by itself once the fault is fixed."""
    scene.store.failures = [TooManyRejected("most events are refused")] * 2
    await scene.stream.append(0, a_batch())

    async with _running(scene):
        await until(lambda: scene.consumer.last_error == "too_many_rejected: most events are refused")
        assert scene.stream.acknowledged == []
        await until(lambda: scene.stream.is_drained)
        await until(lambda: scene.consumer.last_error is None)

    assert scene.counted("store_failures", cause="too_many_rejected") == 2


async def test_a_worker_cancelled_in_a_transaction_acknowledges_nothing(scene: Scene) -> None:
    """When its time to finish is over, the batch stays in the stream."""
    scene.store.gate = asyncio.Semaphore(0)
    await scene.stream.append(0, a_batch())

    async with _running(scene) as running:
        await until(lambda: scene.store.attempts == 1)
        running.cancel()
        await asyncio.wait([running])

    assert scene.stream.acknowledged == []


async def test_events_of_a_deleted_project_are_discarded(scene: Scene) -> None:
    """With that reason. Others are stored, and a restored project gets its events again."""
    await scene.stream.append(0, a_batch(a_post(), a_post(body=b"a\nb", project_id=b"\x03" * 16)))

    async with _running(scene):
        await until(lambda: scene.stream.is_drained)
        scene.projects.rules[b"\x03" * 16] = DEFAULT_RULES
        await scene.stream.append(0, a_batch(a_post(project_id=b"\x03" * 16)))
        await until(lambda: scene.stream.is_drained)

    assert scene.counted("events", outcome="discarded") == 2
    assert scene.counted("events", outcome="stored") == 2


async def test_nothing_is_decided_while_projects_cannot_be_read(scene: Scene) -> None:
    """A project that could not be looked up may exist."""
    scene.projects.failures = [GONE]
    await scene.stream.append(0, a_batch())

    async with _running(scene):
        await until(lambda: scene.stream.is_drained)

    assert len(scene.store.events) == 1


async def test_an_acknowledgement_that_fails_is_repeated(scene: Scene) -> None:
    """Without storing again."""
    scene.stream.failures["acknowledge"] = [BrokerUnavailable("gone")]
    await scene.stream.append(0, a_batch())

    async with _running(scene):
        await until(lambda: scene.stream.is_drained)

    assert scene.store.attempts == 1


async def test_a_worker_killed_before_it_acknowledged_is_followed_by_another(scene: Scene) -> None:
    """The other one recognizes the stored batch by its id, and only acknowledges it."""
    await scene.stream.append(0, a_batch())
    entries = await scene.stream.read("killed", 10, 1)
    await scene.store.save(normalized(entries, rules_from_settings(200_000, 3)))
    scene.clock.advance(15)

    async with _running(scene):
        await until(lambda: scene.stream.is_drained)

    assert len(scene.store.events) == 1
    assert scene.counted("batches_replayed") == 1
    assert scene.counted("entries_claimed") == 1


async def test_pending_entries_of_another_worker_are_left_alone(scene: Scene) -> None:
    """Until it has been silent for too long; this is checked periodically."""
    await scene.stream.append(0, a_batch())
    await scene.stream.read("slow", 10, 1)

    async with _running(scene):
        await until(lambda: scene.stream.calls.count("read") > 3)
        assert scene.store.attempts == 0
        scene.clock.advance(15)
        await until(lambda: scene.stream.is_drained)


async def test_all_entries_of_a_dead_worker_are_claimed_together(scene: Scene) -> None:
    """More than one transaction holds, without waiting for the next check."""
    for _ in range(7):
        await scene.stream.append(0, a_batch())
    await scene.stream.read("killed", 10, 1)
    scene.clock.advance(15)

    async with _running(scene):
        await until(lambda: scene.stream.is_drained)

    assert len(scene.store.events) == 7


async def test_dead_consumers_are_removed(scene: Scene) -> None:
    """Every start has a new name, and the names must not accumulate."""
    await scene.stream.read("dead", 10, 1)
    scene.clock.advance(FORGET_CONSUMER_MS / 1000 + 1)

    async with _running(scene):
        await until(lambda: set(scene.stream.consumers) == {"one"})


async def test_an_unreadable_entry_is_dead_lettered_and_acknowledged(scene: Scene) -> None:
    """It must not block later entries."""
    scene.stream.add_unreadable(b"from the future")
    await scene.stream.append(0, a_batch())

    async with _running(scene):
        await until(lambda: scene.stream.is_drained)

    assert [letter.reason for letter in scene.store.dead_letters] == [DeadLetterReason.UNREADABLE_ENTRY]
    assert len(scene.store.events) == 1
    assert scene.counted("events", outcome="dead_lettered") == 1


@pytest.mark.parametrize(
    "method",
    [
        pytest.param("ensure_group", id="when the worker starts"),
        pytest.param("claim", id="while claiming"),
        pytest.param("read", id="while reading"),
        pytest.param("remove_dead_consumers", id="while tidying"),
    ],
)
async def test_the_worker_survives_an_outage_of_redis(scene: Scene, method: str) -> None:
    """Without a restart."""
    scene.stream.failures[method] = [BrokerUnavailable("gone")]
    await scene.stream.append(0, a_batch())

    async with _running(scene):
        await until(lambda: scene.stream.is_drained)

    assert len(scene.store.events) == 1


async def test_a_full_redis_does_not_keep_a_worker_from_draining_it(scene: Scene) -> None:
    """No group can be created while memory is full, but it usually exists, and reading needs no memory."""
    scene.stream.failures["ensure_group"] = [BrokerFull("full")] * 1000
    await scene.stream.append(0, a_batch())

    async with _running(scene):
        await until(lambda: scene.stream.is_drained)

    assert scene.stream.calls.count("ensure_group") == 1


async def test_two_workers_share_a_stream(scene: Scene) -> None:
    """Each entry is stored by one of them."""
    other = scene.another("two", WorkerMetrics(CollectorRegistry()))
    for _ in range(20):
        await scene.stream.append(0, a_batch())

    async with _running(scene), asyncio.TaskGroup() as tasks:
        tasks.create_task(other.run(scene.stop))
        await until(lambda: scene.stream.is_drained)
        scene.stop.request()

    assert len(scene.store.events) == 20
    assert len(set(scene.stream.acknowledged)) == 20


def _a_bomb(lines: int, *posts: Post) -> PostBatch:
    """A batch of this many events, as many as its bytes allow, and of other posts."""
    body = gzip.compress((b"a\n" * lines).ljust(4 * lines), 0)
    return a_batch(a_post(body=body, content_encoding="gzip", content_type="text/plain"), *posts)


async def test_a_transaction_is_bounded_by_events(scene: Scene) -> None:
    """Entries with many events are stored one after the other, and each is then acknowledged."""
    for _ in range(2):
        await scene.stream.append(0, _a_bomb(TRANSACTION_WEIGHT))
    scene.store.gate = asyncio.Semaphore(0)

    async with _running(scene):
        for number in (1, 2):
            await until(lambda attempt=number: scene.store.attempts == attempt)  # type: ignore[misc]
            assert len(scene.stream.acknowledged) == number - 1
            scene.store.gate.release()
        await until(lambda: scene.stream.is_drained)

    assert len(scene.store.events) == 2 * TRANSACTION_WEIGHT


async def test_an_entry_of_many_transactions_is_acknowledged_after_the_last(scene: Scene) -> None:
    """A failure repeats only its transaction."""
    bomb = _a_bomb(TRANSACTION_WEIGHT).posts[0]
    await scene.stream.append(0, _a_bomb(TRANSACTION_WEIGHT, a_post(), bomb, a_post()))
    scene.store.gate = asyncio.Semaphore(0)

    async with _running(scene):
        scene.store.gate.release()
        await until(lambda: scene.store.attempts == 2)
        assert len(scene.store.events) == TRANSACTION_WEIGHT
        scene.store.failures = [GONE]
        scene.store.gate.release()
        await until(lambda: scene.store.attempts == 3)
        scene.store.gate.release()
        await until(lambda: scene.store.attempts == 4)
        assert scene.stream.acknowledged == []
        scene.store.gate.release()
        await until(lambda: scene.stream.is_drained)

    assert len(scene.store.events) == 2 * TRANSACTION_WEIGHT + 2
    assert scene.counted("events", outcome="stored") == 2 * TRANSACTION_WEIGHT + 2
    assert scene.counted("batches_replayed") == 0


async def test_an_entry_left_half_stored_is_finished_by_another(scene: Scene) -> None:
    """The committed part is recognized by the posts' ids and not stored again."""
    bombs = [_a_bomb(TRANSACTION_WEIGHT).posts[0] for _ in range(3)]
    await scene.stream.append(0, a_batch(*bombs))
    (entry,) = await scene.stream.read("killed", 10, 1)
    await scene.store.save(normalized([entry], rules_from_settings(200_000, 3))[:1])
    scene.clock.advance(15)

    async with _running(scene):
        await until(lambda: scene.stream.is_drained)

    assert len(scene.store.events) == 3 * TRANSACTION_WEIGHT
    assert scene.counted("events", outcome="stored") == 2 * TRANSACTION_WEIGHT
    assert scene.counted("batches_replayed") == 0


async def test_the_event_loop_continues_while_a_large_entry_is_normalized(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Health and the sweep continue. For small entries a thread is not worthwhile."""
    threads: list[bool] = []

    def normalize_noted(*arguments: Any) -> Piece:
        threads.append(threading.current_thread() is threading.main_thread())
        return normalize_piece(*arguments)

    monkeypatch.setattr("worker.consumer.normalize_piece", normalize_noted)
    await scene.stream.append(0, _a_bomb(TRANSACTION_WEIGHT, *[a_post(body=b"x" * 1000)] * 300))
    await scene.stream.append(0, a_batch())

    async with _running(scene):
        await until(lambda: scene.stream.is_drained)

    assert sorted(threads) == [False, False, True]


async def test_a_larger_limit_of_an_ingest_process_is_logged_once(scene: Scene) -> None:
    """With both values; its posts are stored."""
    body = gzip.compress(b"x" * 3_000_000)
    with capture_logs() as lines:
        for _ in range(2):
            scene.stream.add(a_batch(a_post(body=body, content_encoding="gzip")), body_limit_bytes=1_000_000)
        async with _running(scene):
            await until(lambda: scene.stream.is_drained)

    assert len(scene.store.events) == 2
    (line,) = [line["event"] for line in lines if line["log_level"] == "warning"]
    assert line == (
        "HEADRACE_BODY_LIMIT_BYTES is 200000 here and 1000000 at an ingest process;"
        " its posts are unpacked within its limit"
    )


async def test_the_claim_on_slow_entries_is_renewed(scene: Scene) -> None:
    """Otherwise every worker would normalize them.

    Entries that failed, or take longer than plausible, may be claimed.
    """
    scene.store.gate = asyncio.Semaphore(0)
    await scene.stream.append(0, a_batch())

    async with _running(scene):
        await until(lambda: scene.store.attempts == 1)
        await scene.consumer.keep_in_hand()
        assert scene.stream.kept == []
        for _ in range(59):
            scene.clock.advance(5)
            await scene.consumer.keep_in_hand()
        assert len(scene.stream.kept) == 59
        assert await scene.stream.claim("other", 15_000, 10) == []
        scene.clock.advance(16)
        await scene.consumer.keep_in_hand()
        assert len(await scene.stream.claim("other", 15_000, 10)) == 1
        scene.store.gate.release()
        await until(lambda: scene.stream.is_drained)


async def test_the_claim_on_failed_entries_is_not_renewed(scene: Scene) -> None:
    """Another worker may reach a server that this one cannot."""
    scene.store.failures = [GONE] * 1000
    await scene.stream.append(0, a_batch())

    async with _running(scene):
        await until(lambda: scene.consumer.last_error is not None)
        scene.clock.advance(15)
        await scene.consumer.keep_in_hand()
        assert scene.stream.kept == []
        scene.store.failures.clear()
        await until(lambda: scene.stream.is_drained)


async def test_nothing_is_claimed_while_postgres_is_down(scene: Scene) -> None:
    """An outage must not count as failed deliveries."""
    scene.store.failures = [GONE] * 1000
    await scene.stream.append(0, a_batch())
    await scene.stream.append(0, a_batch())
    await scene.stream.read("dead", 1, 1)

    async with _running(scene):
        await until(lambda: scene.consumer.last_error is not None)
        scene.clock.advance(15)
        looks, reads = scene.stream.calls.count("claim"), scene.stream.calls.count("read")
        await until(lambda: scene.stream.calls.count("read") > reads + 3)
        assert scene.stream.calls.count("claim") == looks
        scene.store.failures.clear()
        await until(lambda: scene.stream.is_drained)


async def _deliver(scene: Scene, times: int) -> None:
    """Deliver the only entry to one dead worker after another."""
    await scene.stream.read("dead", 1, 1)
    for _ in range(times - 1):
        await scene.stream.claim("dead", 0, 1)


async def test_an_entry_that_was_delivered_often_is_processed_alone(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All other batches are finished first, and nothing is read meanwhile."""
    in_hand: list[tuple[bool, int]] = []

    def normalize_noted(entry: StreamEntry, *arguments: Any) -> Piece:
        in_hand.append((entry.id == often.id, len(scene.consumer.in_hand)))
        return normalize_piece(entry, *arguments)

    monkeypatch.setattr("worker.consumer.normalize_piece", normalize_noted)
    await scene.stream.append(0, a_batch())
    [often] = await scene.stream.read("dead", 1, 1)
    for _ in range(SHARED_DELIVERIES - 1):
        await scene.stream.claim("dead", 0, 1)
    for _ in range(9):
        await scene.stream.append(0, a_batch())
    scene.store.gate = asyncio.Semaphore(0)

    async with _running(scene):
        await until(lambda: scene.store.attempts == SLOTS)
        scene.clock.advance(15)
        scene.store.gate.release()
        await until(lambda: (often.shard, often.id) in scene.consumer.in_hand)
        assert len(scene.consumer.in_hand) == 2 * (SLOTS - 1) + 1
        for _ in range(9):
            scene.store.gate.release()
        await until(lambda: scene.stream.is_drained)

    assert [number for is_often, number in in_hand if is_often] == [1]
    assert len(scene.store.events) == 10


async def test_an_entry_that_no_worker_can_finish_is_a_dead_letter(scene: Scene) -> None:
    """With its bytes and a reason, after many deliveries and not before. The queue continues."""
    await scene.stream.append(0, a_batch())
    await _deliver(scene, MOST_DELIVERIES)
    await scene.stream.append(0, a_batch())
    scene.clock.advance(15)

    async with _running(scene):
        await until(lambda: scene.stream.is_drained)

    [letter] = scene.store.dead_letters
    assert (letter.reason, letter.detail) == (
        DeadLetterReason.NEVER_FINISHED,
        "11 deliveries, and no worker has finished it.",
    )
    assert b"hello" in letter.body
    assert len(scene.store.events) == 1


async def test_an_entry_that_was_stored_and_never_acknowledged_is_no_dead_letter(scene: Scene) -> None:
    """However often it was delivered."""
    await scene.stream.append(0, a_batch())
    [entry] = await scene.stream.read("dead", 1, 1)
    await scene.store.save(normalized([entry], rules_from_settings(200_000, 3)))
    for _ in range(MOST_DELIVERIES):
        await scene.stream.claim("dead", 0, 1)
    scene.clock.advance(15)

    async with _running(scene):
        await until(lambda: scene.stream.is_drained)

    assert (len(scene.store.events), scene.store.dead_letters) == (1, [])
    assert scene.counted("batches_replayed") == 1


async def test_many_bytes_are_decompressed_in_a_thread(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a few bytes a thread is not worthwhile."""
    threads: list[bool] = []

    def decode_noted(fields: Mapping[bytes, bytes]) -> PostBatch:
        threads.append(threading.current_thread() is threading.main_thread())
        return decode(fields)

    decode = post_batch.decode
    monkeypatch.setattr(post_batch, "decode", decode_noted)
    await scene.stream.append(0, a_batch(a_post(body=b"x" * 2_000_000)))
    await scene.stream.append(0, a_batch())

    async with _running(scene):
        await until(lambda: scene.stream.is_drained)

    assert sorted(threads) == [False, True]


async def test_a_post_that_cannot_be_normalized_is_held_and_named_once(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug of ours: it costs that post a delay, and the others of its entry nothing."""

    def normalize_some(post: Post, *arguments: Any, **options: Any) -> NormalizedPost:
        if post.body == b"poison":
            raise ZeroDivisionError
        return normalize(post, *arguments, **options)

    monkeypatch.setattr("worker.batch.normalize", normalize_some)
    for _ in range(3):
        await scene.stream.append(0, a_batch(a_post(), a_post(body=b"poison")))

    with capture_logs() as lines:
        async with _running(scene):
            await until(lambda: scene.stream.is_drained)

    assert len(scene.store.events) == 3
    assert [post.project_id for post in scene.store.held_posts] == [PROJECT] * 3
    assert [line["project"] for line in lines if line["log_level"] == "error"] == [PROJECT.hex()]
    assert scene.counted("store_failures", cause="unforeseen") == 3


async def test_an_entry_that_cannot_be_stored_delays_no_other(scene: Scene) -> None:
    """It is found by storing entries alone, and its posts are held."""
    poison = a_post(body=b'{"message":"poison"}')
    scene.store.refuses = _contains_poison
    for batch in (a_batch(), a_batch(poison, a_post()), a_batch()):
        await scene.stream.append(0, batch)

    with capture_logs() as lines:
        async with _running(scene):
            await until(lambda: scene.stream.is_drained)

    assert len(scene.store.events) == 2
    assert len(scene.store.held_posts) == 2
    assert [line["projects"] for line in lines if "projects" in line] == [[PROJECT.hex()]]
    assert scene.consumer.last_error is None


async def test_after_an_unknown_failure_each_further_entry_is_stored_once(scene: Scene) -> None:
    """And not again with all that follow it. The failure of the transaction is logged once."""
    scene.consumer.pace = Pace(batch_entries=10, read_block_ms=5)
    scene.store.refuses = _contains_poison
    for number in range(10):
        await scene.stream.append(0, a_batch(a_post(body=b"poison" if number == 8 else b"good")))

    with capture_logs() as lines:
        async with _running(scene):
            await until(lambda: scene.stream.is_drained)

    assert len(scene.store.events) == 9
    # All together, each alone, and the bad one again to be held.
    assert scene.store.attempts == 1 + 10 + 1
    assert sum("transaction failed" in line["event"] for line in lines) == 1
    assert scene.registry.get_sample_value("headrace_store_seconds_count") == 10


async def test_the_rows_of_an_entry_stored_alone_have_their_room(scene: Scene) -> None:
    """Another slot's rows are within the same bound."""
    used: list[int] = []

    def refuses(batches: Sequence[NormalizedBatch]) -> bool:
        used.append(scene.consumer.row_room.used_bytes)
        return _contains_poison(batches)

    scene.store.refuses = refuses
    await scene.stream.append(0, a_batch(a_post(body=b"poison")))

    async with _running(scene):
        await until(lambda: scene.stream.is_drained)

    assert len(used) == 3
    assert all(used)


@pytest.mark.parametrize("fails", ["normalizing", "storing"])
async def test_when_nothing_can_be_stored_the_entries_stay_in_the_queue(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    """All but the few that were held before this was clear. They are stored once the cause is gone."""
    broken = True

    def normalize_none(*arguments: Any, **options: Any) -> NormalizedPost:
        if broken and fails == "normalizing":
            raise ZeroDivisionError
        return normalize(*arguments, **options)

    monkeypatch.setattr("worker.batch.normalize", normalize_none)
    scene.store.refuses = lambda batches: (
        broken and fails == "storing" and any(batch.events for batch in batches)
    )
    for _ in range(60):
        await scene.stream.append(0, a_batch())

    with capture_logs():  # tracebacks take long to write
        async with _running(scene):
            await until(lambda: (scene.consumer.last_error or "").startswith("unforeseen"))
            held = len(scene.store.held_posts)
            acknowledged = len(scene.stream.acknowledged)
            broken = False
            await until(lambda: scene.stream.is_drained)

    assert MOST_IN_A_ROW <= held <= MOST_IN_A_ROW + 2 * SLOTS
    assert acknowledged <= held
    assert len(scene.store.events) + len(scene.store.held_posts) == 60
    assert len(scene.store.held_posts) <= MOST_IN_A_ROW + 2 * SLOTS


def _contains_poison(batches: Sequence[NormalizedBatch]) -> bool:
    return any(event.message == "poison" for batch in batches for event in batch.events)

"""Measures the drain: the worker's own loop, fed from memory, against the server's COPY of a binary file.

The worker runs here, on the measured core, from the stream entry's bytes to the commit; Postgres has the
other cores and the settings of `headrace up`. The file contains the rows that the worker stored, in the same
order, and is copied into the same partition, which is emptied before every slice.
"""

import asyncio
import gc
import secrets
import statistics
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from datetime import time as time_of_day
from functools import partial
from itertools import count
from pathlib import Path
from typing import Final
from uuid import UUID

import asyncpg
import psutil
from prometheus_client import CollectorRegistry

from collector.broker.queue import post_batch
from collector.broker.queue.post_stream import PackedEntry, StreamEntry
from collector.database.owners.organizations import add_organization
from collector.database.owners.project_rules import StoredProjects
from collector.database.owners.projects import add_project
from collector.database.pool import close_pool, connect_once, connected, create_pool
from collector.database.schema.migrations import migrate
from collector.database.schema.partitions import partition_name
from collector.database.schema.rollup_changes import fold_changes
from collector.database.writing.store import BatchStore
from collector.domain.ids import PostIds
from collector.domain.intake.normalize import rules_from_settings
from collector.domain.post import Post, PostBatch
from collector.embedded.servers.postgres import Postgres
from collector.embedded.servers.postgres_roles import ROLE
from collector.embedded.service import start_service
from collector.process.clock import SystemClock
from collector.process.lifecycle import Stop
from collector.process.metrics import WorkerMetrics
from loadtests.benchmarks.error import BenchmarkError
from loadtests.benchmarks.machine import Cores, pinned
from loadtests.benchmarks.posts import Maker, a_log, a_log_without_user, an_error, posts
from loadtests.benchmarks.report import Figure, Goal
from loadtests.benchmarks.slices import Extent, alternate
from worker.consumer import Consumer

DRAIN_GOAL: Final = Goal(0.9)

_ORGANIZATION: Final = UUID(int=1)
_PROJECT: Final = UUID(int=2)
_POOL_SIZE: Final = 4
_BODY_LIMIT_BYTES: Final = 200_000
_MAX_AGE_DAYS: Final = 3
_SLICE_LIMIT_SECONDS: Final = 120.0
_KEPT: Final = ("stacks", "sessions", "partition_dates")


@dataclass(frozen=True, slots=True)
class Load:
    """Posts of `size` events; how many make an entry, and how many events fill a slice of one second."""

    name: str
    make: Maker
    size: int
    posts_per_entry: int
    events_per_second: int
    goal: Goal | None


LOADS: Final = (
    Load("drain, logs, one event a post", a_log, 1, 32, 80_000, DRAIN_GOAL),
    Load("drain, logs, 50 events a post", a_log, 50, 4, 80_000, DRAIN_GOAL),
    Load("drain, logs without users, 50 events a post", a_log_without_user, 50, 4, 80_000, DRAIN_GOAL),
    Load("drain, errors with 20 frames, 10 events a post", an_error, 10, 8, 8_000, None),
)


async def measure_drain(
    folder: Path, cores: Cores, extent: Extent, on_slice: Callable[[], None]
) -> list[Figure]:
    """Measure each load in turn."""
    async with drain_bench(folder, cores) as bench:
        return [await _against_copy(bench, load, extent, on_slice) for load in LOADS]


async def _against_copy(
    bench: "DrainBench", load: Load, extent: Extent, on_slice: Callable[[], None]
) -> Figure:
    events = round(load.events_per_second * extent.slice_seconds)
    # Different ids: with the same ones, an event that began a session would begin it again.
    await bench.drained_per_second(make_backlog(load, events))
    await bench.settle()
    backlog = make_backlog(load, events)
    gc.collect()
    gc.freeze()  # a real worker has no such backlog in memory, so keep it out of garbage collection
    rows = Path("/proc/self/cwd", "rows")  # in the server's own folder, as the server names it
    await bench.drained_per_second(backlog)
    await bench.write_rows(backlog, rows)
    bench.efforts.clear()
    pairs = await alternate(
        extent.slices,
        partial(bench.drained_per_second, backlog),
        partial(bench.copied_per_second, backlog, rows),
        on_slice,
    )
    gc.unfreeze()
    return Figure(
        name=load.name,
        against="the server's own COPY of a binary file",
        unit="events/s",
        pairs=pairs,
        goal=load.goal,
        notes=(
            f"{backlog.events:,} events a slice, {load.size * load.posts_per_entry} in a stream entry",
            f"{backlog.payload_bytes / backlog.events:,.0f} bytes an event",
            _effort_note(bench.efforts),
        ),
    )


def _effort_note(efforts: Sequence["Effort"]) -> str:
    """Report processor time, which means more than elapsed time on a shared machine."""
    drained = [effort for effort in efforts if effort.worker_us is not None]
    copied = [effort.server_us for effort in efforts if effort.worker_us is None]
    worker = statistics.median(effort.worker_us or 0.0 for effort in drained)
    server = statistics.median(effort.server_us for effort in drained)
    return (
        f"CPU an event: the worker {worker:.1f} us, Postgres {server:.1f} us from the worker"
        f" and {statistics.median(copied):.1f} us from the file"
    )


@dataclass(frozen=True, slots=True)
class Effort:
    """Processor time per event in one slice; the server's COPY does not involve the worker."""

    server_us: float
    worker_us: float | None = None


@dataclass(frozen=True, slots=True)
class Backlog:
    """Waiting stream entries, in the bytes that Redis holds; all of one day."""

    entries: Sequence[Mapping[bytes, bytes]]
    events: int
    payload_bytes: int
    partition: str


def make_backlog(load: Load, events: int) -> Backlog:
    """At least `events` events, in whole stream entries, accepted at noon: far from the next partition."""
    noon = datetime.combine(datetime.now(UTC), time_of_day(12), UTC)
    events_per_entry = load.size * load.posts_per_entry
    entry_count = -(-events // events_per_entry)
    bodies = posts(load.make, entry_count * load.posts_per_entry, load.size, noon)
    entries = list(_entries(bodies, load.posts_per_entry, int(noon.timestamp() * 1000)))
    payload_bytes = sum(map(len, bodies))
    return Backlog(entries, entry_count * events_per_entry, payload_bytes, partition_name(noon.date()))


def _entries(bodies: Sequence[bytes], posts_per_entry: int, now_ms: int) -> Iterator[Mapping[bytes, bytes]]:
    """Encode stream entries as ingest does."""
    ids = PostIds()
    waiting = [
        Post(
            id=ids.next(now_ms),
            organization_id=_ORGANIZATION.bytes,
            project_id=_PROJECT.bytes,
            body=body,
            content_type="application/json",
            user_agent="headrace-benchmark/1.0",
            client_ip="127.0.0.1",
        )
        for body in bodies
    ]
    for start in range(0, len(waiting), posts_per_entry):
        batch = PostBatch(ids.next(now_ms), tuple(waiting[start : start + posts_per_entry]))
        yield post_batch.encode(batch)


class MemoryStream:
    """A stream without Redis: delivers a backlog once and requests the stop once it is acknowledged."""

    def __init__(self, entries: Sequence[Mapping[bytes, bytes]], stop: Stop) -> None:
        self._waiting = deque(entries)
        self._unprocessed = len(entries)
        self._numbers = count(1)
        self._stop = stop

    async def ensure_group(self) -> None:
        """Do nothing: there is only one consumer."""

    async def read(
        self,
        consumer: str,  # noqa: ARG002
        count: int,
        block_ms: int,
        worth_bytes: int,
    ) -> list[PackedEntry]:
        """Deliver as many entries as the real stream would."""
        if not self._waiting:
            await self._stop.sleep(block_ms / 1000)
        found: list[PackedEntry] = []
        while self._waiting and len(found) < count and worth_bytes > 0:
            found.append(PackedEntry(0, f"{next(self._numbers)}-0", self._waiting.popleft()))
            worth_bytes -= found[-1].unpacked_bytes
        return found

    async def claim(self, *_: object) -> list[PackedEntry]:
        """Return nothing: there is no other consumer to claim from."""
        return []

    async def keep(self, consumer: str, in_hand: Collection[tuple[int, str]]) -> None:
        """Do nothing: there is no other consumer to claim it."""

    async def acknowledge(self, entries: Sequence[StreamEntry | PackedEntry]) -> None:
        """Count, and request the stop after the last one."""
        self._unprocessed -= len(entries)
        if not self._unprocessed:
            self._stop.request()

    async def remove_dead_consumers(self, idle_ms: int) -> int:  # noqa: ARG002
        """Do nothing: there are none."""
        return 0


@dataclass(slots=True)
class DrainBench:
    """Takes slices on one Postgres."""

    pool: asyncpg.Pool
    store: BatchStore
    postmaster: psutil.Process
    efforts: list[Effort] = field(default_factory=list)
    _metrics: WorkerMetrics = field(default_factory=lambda: WorkerMetrics(CollectorRegistry()))

    async def drained_per_second(self, backlog: Backlog) -> float:
        """Events that the worker stores per second, starting with empty tables."""
        await self._empty()
        stop = Stop()
        consumer = Consumer(
            name="benchmark",
            stream=MemoryStream(backlog.entries, stop),
            store=self.store,
            projects=StoredProjects(self.pool),
            rules=rules_from_settings(_BODY_LIMIT_BYTES, _MAX_AGE_DAYS),
            metrics=self._metrics,
            clock=SystemClock(),
        )
        began, worker, server = time.perf_counter(), time.process_time(), self._server_seconds()
        try:
            async with asyncio.timeout(_SLICE_LIMIT_SECONDS):
                await consumer.run(stop)
                await fold_changes(self.pool)  # a worker does this every few seconds
        except TimeoutError:
            raise BenchmarkError(f"the worker did not drain its backlog: {consumer.last_error}.") from None
        seconds = time.perf_counter() - began
        worker, server = time.process_time() - worker, self._server_seconds() - server
        self.efforts.append(Effort(_us_each(server, backlog), _us_each(worker, backlog)))
        await self._check(backlog)
        return backlog.events / seconds

    async def copied_per_second(self, backlog: Backlog, rows: Path) -> float:
        """Events that the server copies from the file per second, starting with empty tables."""
        await self._empty()
        began, server = time.perf_counter(), self._server_seconds()
        await self.pool.execute(f"COPY {backlog.partition} FROM '{rows}' (FORMAT binary)")
        seconds = time.perf_counter() - began
        self.efforts.append(Effort(_us_each(self._server_seconds() - server, backlog)))
        await self._check(backlog)
        return backlog.events / seconds

    async def write_rows(self, backlog: Backlog, rows: Path) -> None:
        """Write the partition that the worker filled to a file on the server."""
        await self.pool.execute(f"COPY {backlog.partition} TO '{rows}' (FORMAT binary)")

    async def settle(self) -> None:
        """Analyze stacks and sessions, as autovacuum does within a minute."""
        await self.pool.execute(f"ANALYZE {', '.join(_KEPT)}")

    async def _empty(self) -> None:
        """Truncate all tables except the list of migrations and those whose rows recur in every slice."""
        tables = await self.pool.fetchval(
            "SELECT string_agg(quote_ident(relname), ', ') FROM pg_class"
            " WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
            " AND relname <> 'schema_migrations' AND relname <> ALL($1)",
            _KEPT,
        )
        await self.pool.execute(f"TRUNCATE {tables}")
        async with connected(self.pool) as connection:
            await add_organization(connection, _ORGANIZATION, "Benchmark")
            await add_project(connection, _PROJECT, _ORGANIZATION, "Benchmark")

    async def _check(self, backlog: Backlog) -> None:
        """Raise BenchmarkError unless all events are stored, not counting session starts."""
        query = f"SELECT count(*) FROM {backlog.partition} WHERE type <> 'session'"  # noqa: S608 - a partition's name
        stored = await self.pool.fetchval(query)
        if stored != backlog.events:
            raise BenchmarkError(f"{stored:,} of {backlog.events:,} events were stored.")

    def _server_seconds(self) -> float:
        """The processor time of Postgres so far, including processes that have exited."""
        own = self.postmaster.cpu_times()
        seconds = own.user + own.system + own.children_user + own.children_system
        for process in self.postmaster.children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                seconds += sum(process.cpu_times()[:2])
        return seconds


def _us_each(seconds: float, backlog: Backlog) -> float:
    return seconds * 1_000_000 / backlog.events


@asynccontextmanager
async def drain_bench(folder: Path, cores: Cores) -> AsyncIterator[DrainBench]:
    """Postgres on its cores, and this process on the measured one."""
    async with AsyncExitStack() as stack:
        postgres = Postgres(folder, superuser_password=secrets.token_hex(16))
        with pinned(cores.others):
            service = await start_service(postgres)
            stack.push_async_callback(service.stop)
        stack.enter_context(pinned(cores.measured))
        # Copying from and to the server's files is more than the application's role may do.
        superuser = await connect_once(postgres.superuser_url)
        await superuser.execute(f"GRANT pg_read_server_files, pg_write_server_files TO {ROLE}")
        await superuser.close()
        await migrate(postgres.url)
        pool = await create_pool(postgres.url, max_size=_POOL_SIZE, application_name="headrace benchmark")
        stack.push_async_callback(close_pool, pool)
        yield DrainBench(pool, BatchStore(pool), psutil.Process(service.pid))

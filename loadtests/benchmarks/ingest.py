"""Measures ingest: against a bare application, `always` against `everysec`, and the memory of queued posts.

Posts are single events and arrays of 50, no two of them equal. A few connections all wait for the disk
together while ingest is idle: figures over 64 connections show the disk's latency and have no goal. The
throughput of ingest, and the goals, need enough of them: 256.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final, Literal

from collector.domain.access.token import new_token
from loadtests.benchmarks.machine import Cores
from loadtests.benchmarks.posts import a_log, posts
from loadtests.benchmarks.report import Figure, Goal
from loadtests.benchmarks.sender import CONNECTIONS, Sender
from loadtests.benchmarks.servers import Durability, IngestServers, Server, ingest_servers
from loadtests.benchmarks.slices import Extent, Pair, alternate, spread

ARRAY_SIZE: Final = 50
FEW_CONNECTIONS: Final = CONNECTIONS
MANY_CONNECTIONS: Final = 256
INGEST_GOAL: Final = Goal(1.0)
FSYNC_GOAL: Final = Goal(0.9)
MEMORY_GOAL: Final = Goal(0.4, is_ceiling=True)

_SIZES: Final = {1: "one event", ARRAY_SIZE: f"{ARRAY_SIZE} events"}
_DISTINCT_EVENTS: Final = 20_000
"""As arrays they come again after 400 posts: no stream entry of 256 connections holds the same post twice."""


async def measure_ingest(
    folder: Path, cores: Cores, extent: Extent, on_slice: Callable[[], None]
) -> list[Figure]:
    """Ingest against the bare application."""
    async with ingest_bench(folder, cores, extent, "strict") as bench:
        many = bench.over(MANY_CONNECTIONS)
        figures = [await _against_bare(many, size, INGEST_GOAL, extent.slices, on_slice) for size in _SIZES]
        return [*figures, await _against_bare(bench.over(FEW_CONNECTIONS), 1, None, extent.slices, on_slice)]


async def measure_fsync(
    folder: Path, cores: Cores, extent: Extent, on_slice: Callable[[], None]
) -> list[Figure]:
    """Ingest with an fsync for each write before its 202, against an fsync each second."""
    async with ingest_bench(folder, cores, extent, "relaxed") as bench:
        return [
            await _against_everysec(bench.over(connections), goal, extent.slices, on_slice)
            for connections, goal in ((FEW_CONNECTIONS, None), (MANY_CONNECTIONS, FSYNC_GOAL))
        ]


async def measure_memory(
    folder: Path, cores: Cores, extent: Extent, on_slice: Callable[[], None]
) -> list[Figure]:
    """The stream's memory per posted byte."""
    async with ingest_bench(folder, cores, extent, "strict") as bench:
        return [await _memory(bench, size, extent.slices, on_slice) for size in _SIZES]


async def _against_everysec(
    bench: "IngestBench", goal: Goal | None, slices: int, on_slice: Callable[[], None]
) -> Figure:
    async def posts_per_second(policy: Literal["always", "everysec"]) -> float:
        await bench.servers.queue.set_fsync(policy)
        return await bench.posts_per_second(bench.servers.ingest, 1)

    pairs = await alternate(
        slices, partial(posts_per_second, "always"), partial(posts_per_second, "everysec"), on_slice
    )
    return Figure(
        name=f"appendfsync always, {bench.sender.connections} connections",
        against="appendfsync everysec",
        unit="posts/s",
        pairs=pairs,
        goal=goal,
        notes=bench.notes(),
    )


async def _against_bare(
    bench: "IngestBench", size: int, goal: Goal | None, slices: int, on_slice: Callable[[], None]
) -> Figure:
    await bench.warm_up(size)
    pairs = await alternate(
        slices,
        partial(bench.posts_per_second, bench.servers.ingest, size),
        partial(bench.posts_per_second, bench.servers.bare, size),
        on_slice,
    )
    return Figure(
        name=f"ingest, {_SIZES[size]} a post, {bench.sender.connections} connections",
        against="bare aiohttp application",
        unit="posts/s",
        pairs=pairs,
        goal=goal,
        notes=bench.notes(),
        events_each=size,
        p99_ms=(bench.p99_ms(bench.servers.ingest), bench.p99_ms(bench.servers.bare)),
    )


async def _memory(bench: "IngestBench", size: int, slices: int, on_slice: Callable[[], None]) -> Figure:
    queue, pairs, entries = bench.servers.queue, [], []
    await bench.warm_up(size)
    for _ in range(slices):
        await queue.renew()
        await bench.sender.send(bench.servers.ingest.port, bench.bodies[size])
        held = await queue.held()
        pairs.append(Pair(held.stream_bytes, held.payload_bytes))
        entries.append(held.posts / held.entries)
        on_slice()
    return Figure(
        name=f"queue memory, {_SIZES[size]} a post",
        against="the bytes posted",
        unit="bytes",
        pairs=pairs,
        goal=MEMORY_GOAL,
        notes=(f"{spread(entries).median:.0f} posts in a stream entry",),
    )


@dataclass(slots=True)
class IngestBench:
    """Takes slices. `bodies` are the files of posts by their number of events."""

    servers: IngestServers
    sender: Sender
    bodies: Mapping[int, Path]
    _busy: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    _cost: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    _p99: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def over(self, connections: int) -> "IngestBench":
        """The same servers and posts, over another number of connections."""
        return IngestBench(self.servers, self.sender.over(connections), self.bodies)

    async def warm_up(self, size: int) -> None:
        """Open connections and warm caches and code before the first slice."""
        for server in (self.servers.ingest, self.servers.bare):
            await self.posts_per_second(server, size)
        self._busy.clear()
        self._cost.clear()
        self._p99.clear()

    async def posts_per_second(self, server: Server, size: int) -> float:
        """Posts answered 202 per second, starting with an empty queue."""
        await self.servers.queue.renew()
        before = server.cpu_seconds()
        sent = await self.sender.send(server.port, self.bodies[size])
        used = server.cpu_seconds() - before
        self._busy[server.name].append(used / sent.seconds)
        self._cost[server.name].append(used / sent.posts * 1e6)
        self._p99[server.name].append(sent.p99_ms)
        return sent.posts / sent.seconds

    def p99_ms(self, server: Server) -> float:
        """The median over the slices."""
        return spread(self._p99[server.name]).median

    def notes(self) -> tuple[str, ...]:
        """How much of its core each server used: if far below 1, something else was the limit.

        The processor time per post stays meaningful on a shared machine.
        """
        return tuple(
            f"{name} used {spread(busy).median:.2f} of its core, {spread(cost).median:.1f} µs a post"
            for (name, busy), cost in zip(self._busy.items(), self._cost.values(), strict=True)
        )


@asynccontextmanager
async def ingest_bench(
    folder: Path, cores: Cores, extent: Extent, durability: Durability
) -> AsyncIterator[IngestBench]:
    """Servers, and a sender with its posts."""
    token, now, bodies = new_token(), datetime.now(UTC), {}
    for size in _SIZES:
        bodies[size] = folder / f"posts-of-{size}"
        bodies[size].write_bytes(b"\n".join(posts(a_log, _DISTINCT_EVENTS // size, size, now)))
    async with ingest_servers(folder, cores, token, durability) as servers:
        yield IngestBench(servers, Sender(cores.others, extent.slice_seconds, token), bodies)

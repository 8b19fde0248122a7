"""The servers of ingest's benchmark, each started on its cores and always stopped at the end.

Ingest is the real `headrace ingest` on the measured core, and the bare application runs on the same core;
only one of them is under load at a time. Valkey has the other cores.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import psutil
from redis.asyncio import Redis

from collector.broker.connection import connect
from collector.broker.keys import LANES, RedisKeys, stream_number
from collector.broker.queue import post_batch
from collector.broker.token_projection import TokenProjection
from collector.domain.access.projection import OrganizationEntry, ProjectEntry, Projection
from collector.domain.access.token import TokenEntry, lookup_prefix, token_digest
from collector.embedded.app_processes import AppProcess
from collector.embedded.child import Child, Program
from collector.embedded.servers.ports import LOOPBACK, free_port
from collector.embedded.servers.valkey import Valkey
from collector.embedded.service import Service, start_service
from loadtests.benchmarks.machine import Cores, pinned

ROOT: Final = Path(__file__).parents[2]

Durability = Literal["strict", "relaxed"]

_ORGANIZATION: Final = b"\x01" * 16
_PROJECT: Final = b"\x02" * 16
_START_SECONDS: Final = 60.0
_SOCKET_SECONDS: Final = 10.0
_ENTRIES_AT_ONCE: Final = 100
_SETTLE_SECONDS: Final = 10.0
_SETTLED_AFTER_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class Server:
    """Something that answers posts."""

    name: str
    port: int
    pid: int

    def cpu_seconds(self) -> float:
        """The processor time that it has used so far."""
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)


@dataclass(frozen=True, slots=True)
class Held:
    """The contents of the queue: bytes of post bodies, as sent, and the memory of their stream."""

    posts: int
    entries: int
    payload_bytes: int
    stream_bytes: int


class Queue:
    """Ingest's queue, as a benchmark handles it."""

    def __init__(self, redis: Redis, token: str) -> None:
        self._redis = redis
        self._keys = RedisKeys()
        self._projection = _projection(token)
        self._streams = [self._keys.stream(stream_number(lane, 0)) for lane in range(LANES)]

    async def renew(self) -> None:
        """Empty the stream of each lane and keep the token projection fresh, as a worker would."""
        await TokenProjection(self._redis, self._keys).sweep(self._load)
        for lane in range(LANES):
            number = stream_number(lane, 0)
            counts = self._keys.accepted(number)
            await self._redis.xtrim(self._keys.stream(number), maxlen=0, approximate=False)
            # A worker that acknowledges the last entry counts the memory of all as freed.
            await self._redis.hset(counts, "freed", await self._redis.hget(counts, "memory") or 0)

    async def set_fsync(self, policy: Literal["always", "everysec"]) -> None:
        """Decide when the server puts writes on the disk."""
        await self._redis.config_set("appendfsync", policy)

    async def held(self) -> Held:
        """Read all streams, once ingest writes nothing more."""
        await self._settled()
        posts = entries = payload_bytes = 0
        async for fields in self._entries():
            batch = post_batch.decode(fields)
            entries += 1
            posts += len(batch.posts)
            payload_bytes += sum(len(post.body) for post in batch.posts)
        usages = [await self._redis.memory_usage(stream, samples=0) or 0 for stream in self._streams]
        return Held(posts, entries, payload_bytes, sum(usages))

    async def _settled(self) -> None:
        before = -1
        async with asyncio.timeout(_SETTLE_SECONDS):
            while (
                length := sum([int(await self._redis.xlen(stream)) for stream in self._streams])
            ) != before:
                before = length
                await asyncio.sleep(_SETTLED_AFTER_SECONDS)

    async def _entries(self) -> AsyncIterator[Mapping[bytes, bytes]]:
        for stream in self._streams:
            start = "-"
            while True:
                page: Any = await self._redis.xrange(stream, start, "+", _ENTRIES_AT_ONCE)
                for _, fields in page:
                    yield fields
                if len(page) < _ENTRIES_AT_ONCE:
                    break
                start = f"({page[-1][0].decode()}"

    async def _load(self) -> Projection:
        return self._projection


@dataclass(frozen=True, slots=True)
class IngestServers:
    """The two that are compared, and the queue behind ingest."""

    ingest: Server
    bare: Server
    queue: Queue


@asynccontextmanager
async def ingest_servers(
    folder: Path, cores: Cores, token: str, durability: Durability
) -> AsyncIterator[IngestServers]:
    """Start everything, ready for posts with `token`."""
    async with AsyncExitStack() as stack:
        valkey = Valkey(folder)
        await _started(stack, valkey, cores.others)
        redis = connect(valkey.url, socket_timeout_seconds=_SOCKET_SECONDS)
        stack.push_async_callback(redis.aclose)
        queue = Queue(redis, token)
        await queue.renew()
        ingest = _ingest(folder, valkey.url, durability)
        bare = Bare(free_port(), folder / "logs" / "bare.log")
        yield IngestServers(
            Server("ingest", ingest.port, (await _started(stack, ingest, cores.measured)).pid),
            Server("the bare application", bare.port, (await _started(stack, bare, cores.measured)).pid),
            queue,
        )


@dataclass(frozen=True, slots=True)
class Bare:
    """The bare application as a child."""

    port: int
    log: Path
    name: str = "bare"

    async def prepare(self) -> Program:
        """What to run."""
        return Program(
            arguments=(sys.executable, "-m", "loadtests.benchmarks.bare", str(self.port)),
            environ={},
            log=self.log,
            directory=ROOT,
        )

    async def readiness_problem(self, _child: Child) -> str | None:
        """Ready once it lets us connect."""
        try:
            _, writer = await asyncio.open_connection(LOOPBACK, self.port)
        except OSError as error:
            return str(error) or "no answer"
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        return None


async def _started(stack: AsyncExitStack, service: Service, cores: frozenset[int]) -> Child:
    with pinned(cores):
        child = await start_service(service, timeout_seconds=_START_SECONDS)
    stack.push_async_callback(child.stop)
    return child


def _ingest(folder: Path, redis_url: str, durability: Durability) -> AppProcess:
    port = free_port()
    environ = {
        "HEADRACE_HOST": LOOPBACK,
        "HEADRACE_PORT": str(port),
        "HEADRACE_REDIS_URL": redis_url,
        "HEADRACE_DURABILITY": durability,
    }
    return AppProcess("ingest", "ingest", LOOPBACK, port, environ, folder / "logs" / "ingest.log")


def _projection(token: str) -> Projection:
    entry = TokenEntry(token_digest(token), ("client",), (_ORGANIZATION,), project_id=_PROJECT)
    return Projection(
        tokens={lookup_prefix(token): entry},
        projects={_PROJECT: ProjectEntry(_ORGANIZATION)},
        organizations={_ORGANIZATION: OrganizationEntry()},
    )

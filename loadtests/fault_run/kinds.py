"""The faults: each injects one into the running plant and returns when it is over."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import psutil
from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from loadtests.fault_run.plant import START_SECONDS, Plant, is_running, until

_PAUSE_SECONDS: Final = 1.5
_LONG_PAUSE_SECONDS: Final = 4.0
"""More than an ingest process waits for the queue, and than a worker's entries are left alone."""
_TIMEOUT_SECONDS: Final = 10.0
_MOST_SHARDS: Final = 8
"""Of those that the faults set."""
_LITTLE_BYTES: Final = 1_000_000
_BUSY_MS: Final = 100
_ENDLESS: Final = "while true do end"
_NOTHING_FREE: Final = Path("/proc")
_MARK: Final = "headrace_faults:mark"
_SYNC_MS: Final = 200
_UNSYNCED_BYTES: Final = 1 << 16
_TORN_WRITE: Final = b"*3\r\n$3\r\nSET\r\n$20\r\nheadrace"

Fault = Callable[[Plant], Awaitable[None]]


def killed(*kinds: str) -> Fault:
    """Processes of these kinds are killed -9 at the same time."""

    async def fault(plant: Plant) -> None:
        async with asyncio.TaskGroup() as tasks:
            for kind in kinds:
                tasks.create_task(plant.kill(kind))

    return fault


def dies_at(*points: str) -> Fault:
    """A process kills itself at each of these points."""

    async def fault(plant: Plant) -> None:
        await plant.die_at(*points)

    return fault


def paused(kind: str, seconds: float) -> Fault:
    """The processes of a kind are stopped for a while, in the middle of their work."""

    async def fault(plant: Plant) -> None:
        async with plant.paused(kind):
            await asyncio.sleep(seconds)

    return fault


async def memory_full(plant: Plant) -> None:
    """Valkey's limit is below its contents: it refuses writes, but not the commands of a worker."""
    async with _redis(plant) as redis, _full(redis):
        await asyncio.sleep(_PAUSE_SECONDS)


async def memory_full_and_worker_killed(plant: Plant) -> None:
    """A new worker must be able to join and process entries while nothing can be written."""
    async with _redis(plant) as redis, _full(redis):
        await killed("worker", "second_worker")(plant)
        await until(lambda: _is_empty(redis), START_SECONDS, "an empty stream while memory is full")


async def replies_lost(plant: Plant) -> None:
    """Every other write of an ingest process loses its reply and its connection."""
    cutter = plant.cutter
    if cutter is None:
        return
    cuts = cutter.cuts
    cutter.is_cutting = True
    try:
        await until(lambda: cutter.cuts >= cuts + 3, START_SECONDS, "three lost replies")
    finally:
        cutter.is_cutting = False


def shards_changed(*numbers: int, killing: str = "") -> Fault:
    """The number of shards changes while everything runs, and a process of a kind dies after each change."""

    async def fault(plant: Plant) -> None:
        for number in numbers:
            await plant.set_shards(number)
            if killing:
                await plant.kill(killing)
            await asyncio.sleep(_PAUSE_SECONDS)

    return fault


async def script_that_does_not_end(plant: Plant) -> None:
    """Valkey answers BUSY to everything until the script is killed; every ingest process says so."""
    never_again = Retry(NoBackoff(), 0)
    async with (
        _redis(plant) as redis,
        Redis.from_url(plant.ready.redis_url, socket_timeout=2 * START_SECONDS, retry=never_again) as caller,
    ):
        await redis.config_set("busy-reply-threshold", _BUSY_MS)
        running: asyncio.Future[Any] = asyncio.ensure_future(caller.eval(_ENDLESS, 0))
        try:
            await plant.until_refusing("queue_unavailable")
            await asyncio.sleep(_PAUSE_SECONDS)
        finally:
            with suppress(exceptions.ResponseError):  # it may have ended
                await redis.script_kill()
            await asyncio.wait([running])
            running.exception()


async def disk_short(plant: Plant) -> None:
    """The queue's disk is replaced for a while by one without free space."""
    with plant.other_queue_disk(_NOTHING_FREE):
        await plant.until_refusing("disk_short")
        await asyncio.sleep(_PAUSE_SECONDS)  # the watch polls on its own


async def power_lost(plant: Plant) -> None:
    """The queue's machine loses power: only what the server had synced stays, followed by half of a write.

    A kill alone proves nothing about fsync, because the page cache survives it. Meanwhile ingest is stopped:
    then the server has synced either everything that it acknowledged, or (without an fsync for each write)
    not the end of its file, which is cut off.
    """
    files = plant.folder / "data" / "valkey" / "appendonlydir"
    async with AsyncExitStack() as stopped:
        # Entries must wait in the queue when it happens.
        await stopped.enter_async_context(plant.paused("postgres"))
        await asyncio.sleep(_PAUSE_SECONDS)
        for kind in ("ingest", "proxied_ingest"):
            await stopped.enter_async_context(plant.paused(kind))
        async with _redis(plant) as redis:
            await redis.set(_MARK, 1)
            synced, _ = await redis.waitaof(1, 0, _SYNC_MS)
        plant.up.send_signal(signal.SIGSTOP)  # it would start the server again before the file is cut
        try:
            await plant.kill("valkey")
            newest = max(files.glob("*.incr.aof"), key=lambda file: file.stat().st_mtime_ns)
            with newest.open("ab") as file:
                if not synced:
                    file.truncate(max(0, file.tell() - _UNSYNCED_BYTES))
                file.write(_TORN_WRITE)
        finally:
            plant.up.send_signal(signal.SIGCONT)


def terminated(kind: str, stopped_kind: str) -> Fault:
    """A process is asked to end, with work in hand, while a server that it needs does not answer."""

    async def fault(plant: Plant) -> None:
        process = await plant.child(kind)  # without the server none could start
        async with plant.paused(stopped_kind):
            await asyncio.sleep(_PAUSE_SECONDS)  # posts arrive, and it reads them
            with suppress(psutil.NoSuchProcess):
                process.terminate()
            await until(lambda: not is_running(process), START_SECONDS, f"the end of {kind}")

    return fault


FAULTS: Final[dict[str, Fault]] = {
    "Valkey killed": killed("valkey"),
    "worker killed": killed("worker"),
    "second worker killed": killed("second_worker"),
    "ingest killed": killed("ingest"),
    "Postgres killed": killed("postgres"),
    "worker dies between commit and acknowledgement": dies_at("after_commit"),
    "worker dies between read and commit": dies_at("after_read"),
    "worker dies between claim and commit": dies_at("after_read", "after_claim"),
    "ingest dies between append and answer": dies_at("after_append"),
    "shards changed up and down": shards_changed(4, 2, 8, 1),
    "shards changed, workers killed": shards_changed(6, 1, killing="worker"),
    "shards changed, ingest processes killed": shards_changed(5, 3, killing="proxied_ingest"),
    "replies lost between ingest and Valkey": replies_lost,
    "memory full": memory_full,
    "memory full, workers killed": memory_full_and_worker_killed,
    "Valkey stopped and continued": paused("valkey", _PAUSE_SECONDS),
    "Postgres stopped and continued": paused("postgres", _PAUSE_SECONDS),
    "two workers on the same entries": paused("worker", _PAUSE_SECONDS),
    "worker and Postgres killed": killed("worker", "postgres"),
    "ingest and Valkey killed": killed("ingest", "valkey"),
    "everything killed": killed("ingest", "worker", "second_worker", "valkey", "postgres"),
    "Valkey busy with a script": script_that_does_not_end,
    "disk short": disk_short,
    "Valkey loses power": power_lost,
    "worker ends, Postgres stopped": terminated("worker", "postgres"),
    "Valkey stopped for longer": paused("valkey", _LONG_PAUSE_SECONDS),
    "Postgres stopped for longer": paused("postgres", _LONG_PAUSE_SECONDS),
}


@asynccontextmanager
async def _full(redis: "Redis") -> AsyncIterator[None]:
    """A limit below what is in use, inside the block."""
    limit: Any = (await redis.config_get("maxmemory"))["maxmemory"]
    await redis.config_set("maxmemory", _LITTLE_BYTES)
    try:
        yield
    finally:
        await redis.config_set("maxmemory", limit)


async def _is_empty(redis: "Redis") -> bool:
    try:
        names = [f"posts:{{{shard}}}{lane}" for shard in range(_MOST_SHARDS) for lane in ("", ":1", ":2")]
        return not any([await redis.xlen(name) for name in names])
    except exceptions.RedisError:
        return False


@asynccontextmanager
async def _redis(plant: Plant) -> AsyncIterator["Redis"]:
    redis: Any = Redis.from_url(
        plant.ready.redis_url,
        decode_responses=True,
        socket_timeout=_TIMEOUT_SECONDS,
        socket_connect_timeout=_TIMEOUT_SECONDS,
    )
    try:
        yield redis
    finally:
        await redis.aclose()

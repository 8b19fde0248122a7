"""The plant of crash tests: `headrace up` with two ingest processes, another worker, a third ingest by proxy.

It only touches processes that this run started: children of our `headrace up`, by its ready file, and
our own.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from inspect import isawaitable
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
import psutil

from loadtests.fault_run.proxy import ReplyCutter, proxied
from loadtests.fault_run.watch import refused_for

START_SECONDS: Final = 90.0
STOP_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.02
_RESTART_SECONDS: Final = 0.2
_SHARERS_ASKED: Final = 8
_PROBE: Final = aiohttp.ClientTimeout(total=5)


class PlantError(Exception):
    """The run could not be started, or something in it did not recover; the message says what."""


class Ready(msgspec.Struct, frozen=True):
    """What is read of the file that `headrace up --ready-file` writes."""

    url: str
    client_token: str
    user_token: str
    project_id: str
    redis_url: str
    database_url: str
    pids: dict[str, list[int]]


@dataclass(slots=True)
class Plant:
    """All processes of a run, and where its fault points are armed."""

    folder: Path
    up: asyncio.subprocess.Process
    environ: Mapping[str, str]
    fault_points: Path
    queue_disk: Path
    own: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)
    cutter: ReplyCutter | None = None
    proxied_url: str = ""

    @property
    def ready(self) -> Ready:
        """What the ready file says now."""
        return msgspec.json.decode((self.folder / "ready.json").read_bytes(), type=Ready)

    def children(self, kind: str) -> list[psutil.Process]:
        """The running processes of a kind: of `headrace up`, or our own second worker and third ingest."""
        pids = list(self.ready.pids.get(kind, []))
        if kind in self.own and self.own[kind].returncode is None:
            pids.append(self.own[kind].pid)
        found = []
        for pid in pids:
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(pid)
                if process.ppid() in {self.up.pid, os.getpid()}:
                    found.append(process)
        return found

    async def child(self, kind: str) -> psutil.Process:
        """A running one; waits for its restart if it has just died."""
        await until(lambda: bool(self.children(kind)), START_SECONDS, f"a running {kind}")
        return self.children(kind)[-1]

    async def kill(self, kind: str) -> None:
        """Kill -9 one process of a kind, and return once it is gone."""
        process = await self.child(kind)
        with suppress(psutil.NoSuchProcess):
            process.kill()
        await until(lambda: not is_running(process), STOP_SECONDS, f"the end of {kind}")

    @asynccontextmanager
    async def paused(self, kind: str) -> AsyncIterator[None]:
        """Suspend all processes of a kind and their children, and resume them at the end of the block."""
        await self.child(kind)
        family = [
            member
            for process in self.children(kind)
            for member in (process, *process.children(recursive=True))
        ]
        for member in family:
            with suppress(psutil.NoSuchProcess):
                member.suspend()
        try:
            yield
        finally:
            for member in family:
                with suppress(psutil.NoSuchProcess):
                    member.resume()

    @contextmanager
    def other_queue_disk(self, folder: Path) -> Iterator[None]:
        """Inside the block, ingest processes see the disk of `folder` as the queue's disk."""
        usual = self.queue_disk.readlink()
        _point(self.queue_disk, folder)
        try:
            yield
        finally:
            _point(self.queue_disk, usual)

    async def until_refusing(self, reason: str) -> None:
        """Return once the readiness and the metrics of every ingest process have named the reason."""
        for url in (self.ready.url, self.proxied_url):
            await until(partial(_refuses, url, reason), START_SECONDS, f"{reason} in the readiness of {url}")

    async def die_at(self, *points: str) -> None:
        """Arm fault points and return once a process has died at each."""
        for point in points:
            (self.fault_points / point).touch()
        await until(
            lambda: not any((self.fault_points / point).exists() for point in points),
            START_SECONDS,
            f"a death at {' and '.join(points)}",
        )

    async def audit(self, wait_seconds: float) -> tuple[int, str]:
        """Run `headrace audit` on the running system; return its exit status and its JSON output."""
        ready = self.ready
        process = await asyncio.create_subprocess_exec(
            *_command("audit", "--json", "--wait", str(wait_seconds)),
            env={**self.environ, "REDIS_URL": ready.redis_url, "DATABASE_URL": ready.database_url},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(2 * wait_seconds + STOP_SECONDS):
            said, _ = await process.communicate()
        return process.returncode or 0, said.decode()

    async def set_shards(self, number: int) -> None:
        """Run `headrace shards set` on the running system. Raises PlantError with its output."""
        process = await asyncio.create_subprocess_exec(
            *_command("shards", "set", str(number)),
            env={**self.environ, "REDIS_URL": self.ready.redis_url},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(START_SECONDS):
            said, _ = await process.communicate()
        if process.returncode:
            raise PlantError(f"headrace shards set {number}: {said.decode()}")

    def log(self) -> str:
        """What `headrace up` has printed."""
        return (self.folder / "up.log").read_text(errors="replace")


@asynccontextmanager
async def running_plant(folder: Path, settings: Mapping[str, str]) -> AsyncIterator[Plant]:
    """Start everything; it is ready inside the block and stopped at its end."""
    fault_points = folder / "fault_points"
    fault_points.mkdir()
    queue_disk = folder / "queue_disk"
    queue_disk.symlink_to(folder)
    environ = {
        **{name: os.environ[name] for name in ("PATH", "HOME", "LANG", "PYTHONPATH") if name in os.environ},
        "HEADRACE_FAULTS": "on",
        "HEADRACE_FAULTS_DIRECTORY": str(fault_points),
        "HEADRACE_QUEUE_DISK": str(queue_disk),
        "HEADRACE_CLAIM_IDLE_SECONDS": "1",
        "HEADRACE_READ_BLOCK_MS": "100",
        "HEADRACE_LOG_LEVEL": "warning",
        **settings,
    }
    plant = Plant(folder, await _start_up(folder, environ), environ, fault_points, queue_disk)
    try:
        await until(lambda: _is_ready(plant), START_SECONDS, "headrace up")
        async with proxied(plant.ready.redis_url) as (cutter, redis_url), asyncio.TaskGroup() as tasks:
            plant.cutter = cutter
            processes = [tasks.create_task(managed) for managed in _restarted_processes(plant, redis_url)]
            try:
                await until(lambda: _answers(plant.proxied_url), START_SECONDS, "ingest behind the proxy")
                yield plant
            finally:
                for managed in processes:
                    managed.cancel()
    finally:
        await _stop(plant.up)


async def until(condition: Callable[[], bool | Awaitable[bool]], seconds: float, what: str) -> None:
    """Return as soon as `condition` holds. Raises PlantError after `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            while True:
                held = condition()
                if await held if isawaitable(held) else held:
                    return
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        raise PlantError(f"{what}: not within {seconds:g} s") from None


def is_running(process: psutil.Process) -> bool:
    """Whether it runs; a zombie does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


async def _start_up(folder: Path, environ: Mapping[str, str]) -> asyncio.subprocess.Process:
    options = ("--port", "0", "--ingest", "2", "--data-dir", str(folder / "data"))
    with (folder / "up.log").open("wb") as log:
        return await asyncio.create_subprocess_exec(
            *_command("up", *options, "--ready-file", str(folder / "ready.json")),
            env=environ,
            stdout=log,
            stderr=log,
        )


def _restarted_processes(plant: Plant, redis_url: str) -> list[Coroutine[Any, Any, None]]:
    """A second worker, and an ingest that reaches Valkey through the proxy; both are restarted when they die.

    Their settings name different numbers of shards, at most one of them the stored one.
    """
    ready, ingest_port = plant.ready, _free_port()
    plant.proxied_url = f"http://127.0.0.1:{ingest_port}"
    worker = {"DATABASE_URL": ready.database_url, "REDIS_URL": ready.redis_url, "HEADRACE_SHARDS": "1"}
    ingest = {"REDIS_URL": redis_url, "HEADRACE_PORT": str(ingest_port), "HEADRACE_SHARDS": "4"}
    return [
        _keep_running(plant, "second_worker", "worker", {**worker, "HEADRACE_PORT": str(_free_port())}),
        _keep_running(plant, "proxied_ingest", "ingest", ingest),
    ]


async def _keep_running(plant: Plant, name: str, command: str, settings: Mapping[str, str]) -> None:
    """Run a command of the product, and restart it when it exits, until cancelled."""
    while True:
        with (plant.folder / f"{name}.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *_command(command), env={**plant.environ, **settings}, stdout=log, stderr=log
            )
        plant.own[name] = process
        try:
            await process.wait()
        except asyncio.CancelledError:
            await _stop(process)
            raise
        await asyncio.sleep(_RESTART_SECONDS)


async def _stop(process: asyncio.subprocess.Process) -> None:
    """Terminate it, and kill it after a bounded wait."""
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def _command(*words: str) -> tuple[str, ...]:
    return sys.executable, "-P", "-m", "collector.cli", *words


def _is_ready(plant: Plant) -> bool:
    if plant.up.returncode is not None:
        raise PlantError(f"headrace up ended with {plant.up.returncode}:\n{plant.log()}")
    return (plant.folder / "ready.json").exists()


async def _answers(url: str) -> bool:
    try:
        async with (
            aiohttp.ClientSession(timeout=_PROBE) as session,
            session.get(f"{url}/health/ready") as found,
        ):
            return found.status == HTTPStatus.OK
    except (aiohttp.ClientError, OSError, TimeoutError):
        return False


async def _refuses(url: str, reason: str) -> bool:
    """Whether every answer names the reason: processes may share the port, so ask several times."""
    connector = aiohttp.TCPConnector(force_close=True)
    try:
        async with aiohttp.ClientSession(timeout=_PROBE, connector=connector) as session:
            for _ in range(_SHARERS_ASKED):
                async with (
                    session.get(f"{url}/health/ready") as ready,
                    session.get(f"{url}/metrics") as found,
                ):
                    named = msgspec.json.decode(await ready.read(), type=_Checks).checks.get(reason, "ok")
                    if named == "ok" or reason not in refused_for(await found.text()):
                        return False
    except (aiohttp.ClientError, OSError, TimeoutError, msgspec.DecodeError):
        return False
    return True


class _Checks(msgspec.Struct):
    """What is read of an ingest process's readiness."""

    checks: dict[str, str] = {}


def _point(link: Path, folder: Path) -> None:
    """Replace the link in one step."""
    new = link.with_suffix(".new")
    new.symlink_to(folder)
    new.replace(link)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

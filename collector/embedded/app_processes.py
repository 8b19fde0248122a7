"""Headrace's own processes as children: ingest and api on one port, and the worker."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final

import aiohttp
import msgspec
import psutil

from collector.embedded.child import Child, Program
from collector.embedded.servers.ports import LOOPBACK, free_port

_PROBE: Final = aiohttp.ClientTimeout(total=5)
_PROBES_PER_SHARER: Final = 8
_STOP_SECONDS: Final = 7.0
_ANY_INTERFACE: Final = {"0.0.0.0": LOOPBACK, "::": "::1", "": LOOPBACK}  # noqa: S104 - read, not bound


@dataclass(frozen=True, slots=True)
class AppProcess:
    """One run of the `headrace` command. `sharers` is how many processes serve on its port."""

    name: str
    command: str
    host: str
    port: int
    environ: Mapping[str, str]
    log: Path
    sharers: int = 1

    async def prepare(self) -> Program:
        """The command line and environment of the process."""
        return Program(
            # -P: a folder called `collector` in the user's working directory must not shadow ours.
            arguments=(sys.executable, "-P", "-m", "collector.cli", self.command),
            environ=self.environ,
            log=self.log,
            stop_seconds=_STOP_SECONDS,
        )

    async def readiness_problem(self, child: Child) -> str | None:
        """Why the process does not serve yet: it must listen itself, and its port must answer as alive.

        A live process that is not ready is not restarted: what it waits for may take time.
        """
        # Another process may already answer on a shared port, so ask the kernel who listens.
        if not _listens(child.pid, self.port):
            return "it does not listen yet"
        return await _health_problem(f"{base_url(self.host, self.port)}/health/live")

    async def problem(self) -> str | None:
        """Why the processes on the port are not ready, or None when all that were probed are.

        On a shared port the kernel chooses who answers each connection, so there are several probes.
        """
        probes = 1 if self.sharers == 1 else self.sharers * _PROBES_PER_SHARER
        for _ in range(probes):
            if problem := await _health_problem(f"{base_url(self.host, self.port)}/health/ready"):
                return problem
        return None


def ingest_processes(
    count: int, host: str, port: int, environ: Mapping[str, str], logs: Path
) -> list[AppProcess]:
    """`count` processes that share one port; each serves both ingest and api."""
    own = {"HEADRACE_HOST": host, "HEADRACE_PORT": str(port), "HEADRACE_REUSE_PORT": "true"}
    names = ["ingest"] if count == 1 else [f"ingest-{number}" for number in range(1, count + 1)]
    return [
        AppProcess(name, "serve", host, port, {**environ, **own}, logs / f"{name}.log", sharers=count)
        for name in names
    ]


def worker(environ: Mapping[str, str], logs: Path) -> AppProcess:
    """The worker; it serves health and metrics on a free port."""
    port = free_port()
    own = {"HEADRACE_HOST": LOOPBACK, "HEADRACE_PORT": str(port)}
    return AppProcess("worker", "worker", LOOPBACK, port, {**environ, **own}, logs / "worker.log")


def base_url(host: str, port: int) -> str:
    """The URL by which a client on this machine reaches a server that is bound to `host` and `port`."""
    host = _ANY_INTERFACE.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _listens(pid: int, port: int) -> bool:
    try:
        connections = psutil.Process(pid).net_connections(kind="tcp")
    except psutil.Error:
        return False
    return any(
        connection.laddr.port == port for connection in connections if connection.status == psutil.CONN_LISTEN
    )


class _Health(msgspec.Struct):
    """The body of a health route: each check by name, `ok` or what is wrong."""

    checks: dict[str, str] = {}


async def _health_problem(url: str) -> str | None:
    try:
        async with aiohttp.ClientSession(timeout=_PROBE) as session, session.get(url) as response:
            if response.status == HTTPStatus.OK:
                return None
            body = await response.read()
    except (aiohttp.ClientError, OSError) as error:
        return str(error) or "no answer"
    try:
        checks = msgspec.json.decode(body, type=_Health).checks
    except msgspec.DecodeError:
        checks = {}
    return "; ".join(text for text in checks.values() if text != "ok") or "it does not say why"

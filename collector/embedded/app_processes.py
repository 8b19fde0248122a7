"""The product's own processes as children: ingest and api on one port, and the worker."""

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
class ProductProcess:
    """One run of the `headrace` command. `sharers` is how many processes serve on its port."""

    name: str
    command: str
    host: str
    port: int
    environ: Mapping[str, str]
    log: Path
    sharers: int = 1

    async def prepare(self) -> Program:
        """`-P`: a folder of the user's called `collector` is not ours."""
        return Program(
            arguments=(sys.executable, "-P", "-m", "collector.cli", self.command),
            environ=self.environ,
            log=self.log,
            stop_seconds=_STOP_SECONDS,
        )

    async def readiness_problem(self, child: Child) -> str | None:
        """It serves once this very process listens, and whoever answers on its port is alive.

        Whether it is ready, too, is no reason to end it: what it waits for may take its time.
        """
        if not _listens(child.pid, self.port):
            return "it does not listen yet"
        return await _readiness_problem_at(f"{base_url(self.host, self.port)}/health/live")

    async def problem(self) -> str | None:
        """Why it is not ready, or None where whoever answers on its port says that it is.

        Which of several sharers answers is the kernel's choice for each connection, so there are many tries.
        """
        probes = 1 if self.sharers == 1 else self.sharers * _PROBES_PER_SHARER
        for _ in range(probes):
            if problem := await _readiness_problem_at(f"{base_url(self.host, self.port)}/health/ready"):
                return problem
        return None


def ingest_processes(
    count: int, host: str, port: int, environ: Mapping[str, str], logs: Path
) -> list[ProductProcess]:
    """Ingest and api, `count` times on one port."""
    own = {"HEADRACE_HOST": host, "HEADRACE_PORT": str(port), "HEADRACE_REUSE_PORT": "true"}
    names = ["ingest"] if count == 1 else [f"ingest-{number}" for number in range(1, count + 1)]
    return [
        ProductProcess(name, "serve", host, port, {**environ, **own}, logs / f"{name}.log", sharers=count)
        for name in names
    ]


def worker(environ: Mapping[str, str], logs: Path) -> ProductProcess:
    """The worker; its health and metrics are on a free port."""
    port = free_port()
    own = {"HEADRACE_HOST": LOOPBACK, "HEADRACE_PORT": str(port)}
    return ProductProcess("worker", "worker", LOOPBACK, port, {**environ, **own}, logs / "worker.log")


def base_url(host: str, port: int) -> str:
    """How a client on this machine reaches it."""
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
    """What a health route answers: each check by name, `ok` or what is wrong."""

    checks: dict[str, str] = {}


def _in_words(answer: bytes) -> str:
    try:
        checks = msgspec.json.decode(answer, type=_Health).checks
    except msgspec.DecodeError:
        checks = {}
    return "; ".join(text for text in checks.values() if text != "ok") or "it does not say why"


async def _readiness_problem_at(url: str) -> str | None:
    try:
        async with aiohttp.ClientSession(timeout=_PROBE) as session, session.get(url) as response:
            return None if response.status == HTTPStatus.OK else _in_words(await response.read())
    except (aiohttp.ClientError, OSError) as error:
        return str(error) or "no answer"

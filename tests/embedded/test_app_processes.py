"""Readiness of the product's own processes, tested against tiny HTTP servers."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from collector.embedded.app_processes import AppProcess, base_url, ingest_processes, worker
from collector.embedded.child import Child, Program
from collector.embedded.servers.ports import LOOPBACK, free_port
from tests.support.waiting import until

WHY = "it is slow; none"

_SERVER = """
import http.server, socket, sys
port, status = int(sys.argv[1]), int(sys.argv[2])

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health/live" else status)
        self.end_headers()
        self.wfile.write(b'{"checks": {"tokens": "ok", "clock": "it is slow", "durability": "none"}}')

class Server(http.server.HTTPServer):
    allow_reuse_port = True
    def server_bind(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        super().server_bind()

Server(("127.0.0.1", port), Handler).serve_forever()
"""


@asynccontextmanager
async def answering(status: int, port: int, directory: Path) -> AsyncIterator[Child]:
    """A server that answers everything with one status."""
    child = Child.start(
        Program(
            (sys.executable, "-c", _SERVER, str(port), str(status)),
            {},
            directory / "log",
            stop_signal=signal.SIGKILL,
        )
    )
    try:
        yield child
    finally:
        await child.stop()


def process(port: int, directory: Path, sharers: int = 1) -> AppProcess:
    """A process whose answers come from the tiny server."""
    return AppProcess("ingest", "serve", LOOPBACK, port, {}, directory / "ingest.log", sharers=sharers)


async def test_a_process_is_ready_when_its_health_route_says_so(tmp_path: Path) -> None:
    port = free_port()
    ingest = process(port, tmp_path)
    async with answering(200, port, tmp_path) as child:

        async def is_ready() -> bool:
            return await ingest.readiness_problem(child) is None and await ingest.problem() is None

        await until(is_ready)


async def test_a_process_may_serve_before_it_is_ready_and_says_why(tmp_path: Path) -> None:
    """What it waits for may take long, and a restart would not help."""
    port = free_port()
    ingest = process(port, tmp_path)
    async with answering(503, port, tmp_path) as child:

        async def serves() -> bool:
            return await ingest.readiness_problem(child) is None

        await until(serves)
        assert await ingest.problem() == WHY


async def test_another_processs_answer_on_its_port_does_not_count(tmp_path: Path) -> None:
    """An ingest process that does not listen yet does not serve because another one does."""
    port = free_port()
    ingest = process(port, tmp_path)
    async with answering(200, port, tmp_path) as neighbour, answering(200, free_port(), tmp_path) as child:

        async def serves() -> bool:
            return await ingest.readiness_problem(neighbour) is None

        await until(serves)
        assert await ingest.readiness_problem(child) == "it does not listen yet"


async def test_one_unready_process_on_a_shared_port_is_noticed(tmp_path: Path) -> None:
    """The kernel chooses which one answers, so all must be ready."""
    port = free_port()
    ingest = process(port, tmp_path, sharers=2)
    async with answering(200, port, tmp_path) as ready, answering(503, port, tmp_path) as unready:

        async def both_listen() -> bool:
            readiness_problems = await asyncio.gather(
                ingest.readiness_problem(ready), ingest.readiness_problem(unready)
            )
            return not any(readiness_problems)

        await until(both_listen)
        assert await ingest.problem() == WHY


def test_ingest_processes_share_a_port_and_the_worker_has_its_own(tmp_path: Path) -> None:
    """The user's settings are passed on; those that make the processes work together are ours."""
    given = {"HEADRACE_BODY_LIMIT_BYTES": "1000", "HEADRACE_PORT": "1"}

    first, second = ingest_processes(2, "0.0.0.0", 8080, given, tmp_path)  # noqa: S104 - as an image sets it
    own_worker = worker(given, tmp_path)

    assert (first.name, second.name) == ("ingest-1", "ingest-2")
    assert (
        first.environ
        == second.environ
        == {
            "HEADRACE_BODY_LIMIT_BYTES": "1000",
            "HEADRACE_HOST": "0.0.0.0",  # noqa: S104
            "HEADRACE_PORT": "8080",
            "HEADRACE_REUSE_PORT": "true",
        }
    )
    assert own_worker.environ["HEADRACE_PORT"] == str(own_worker.port) != "8080"
    assert own_worker.environ["HEADRACE_HOST"] == LOOPBACK


@pytest.mark.parametrize(
    ("host", "url"),
    [
        pytest.param("127.0.0.1", "http://127.0.0.1:8080", id="loopback"),
        pytest.param("0.0.0.0", "http://127.0.0.1:8080", id="every interface"),  # noqa: S104
        pytest.param("::", "http://[::1]:8080", id="every interface, IPv6"),
        pytest.param("collector.test", "http://collector.test:8080", id="a name"),
    ],
)
def test_the_shown_address_can_be_opened(host: str, url: str) -> None:
    """Some browsers cannot open 0.0.0.0."""
    assert base_url(host, 8080) == url

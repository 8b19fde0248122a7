"""Container engines and people ask whether a process on this machine answers."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from prometheus_client import CollectorRegistry

from collector.embedded.servers.ports import free_port
from collector.http.health import add_health
from collector.http.server import Address, Listener, application, listen
from collector.process.probe import health_problem


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    async def queue() -> str | None:
        return "the queue is unavailable"

    app = application()
    add_health(app, {"queue": queue}, CollectorRegistry())
    running = await listen(app, Address("127.0.0.1", 0))
    yield running
    await running.close()


async def test_a_process_that_answers_is_alive_though_it_is_not_ready(listener: Listener) -> None:
    environ = {"HEADRACE_PORT": str(listener.port), "HEADRACE_HOST": "0.0.0.0"}  # noqa: S104 - read, not bound

    assert await asyncio.to_thread(health_problem, environ) is None
    problem = await asyncio.to_thread(health_problem, environ, is_ready=True)
    assert problem == f"port {listener.port}: HTTP/1.1 503 Service Unavailable"


def test_a_port_without_a_process_is_named() -> None:
    port = free_port()

    assert str(health_problem({"HEADRACE_PORT": str(port)})).startswith(f"port {port}: ")
    assert (
        health_problem({"HEADRACE_PORT": "many"})
        == "port many: invalid literal for int() with base 10: 'many'"
    )

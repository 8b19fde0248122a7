"""The api process: its start, its end, and starts that must fail."""

import asyncio
import socket
from pathlib import Path

import aiohttp
import pytest

from collector.api.process import run
from collector.embedded.servers.ports import free_port
from collector.embedded.servers.valkey import Valkey
from collector.embedded.service import start_service
from collector.process.lifecycle import StartError, Stop
from tests.support import queue_states
from tests.support.queue_states import Operator
from tests.support.waiting import until


@pytest.mark.integration
async def test_it_serves_until_it_is_stopped(database_url: str, redis_url: str, key_prefix: str) -> None:
    """It is ready once both servers can be reached, and frees the port at the end."""
    port, stop = free_port(), Stop()
    environ = {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "HEADRACE_REDIS_KEY_PREFIX": key_prefix,
        "HEADRACE_PORT": str(port),
    }
    process = asyncio.create_task(run(environ, stop, {}))

    async def is_ready() -> bool:
        try:
            async with session.get(f"http://127.0.0.1:{port}/health/ready") as response:
                return response.status == 200
        except aiohttp.ClientError:
            return False

    async with aiohttp.ClientSession() as session:
        await until(is_ready, what="the api is ready")
    stop.request()
    async with asyncio.timeout(10):
        await process
    with socket.create_server(("127.0.0.1", port)):
        pass


@pytest.mark.integration
async def test_the_landing_page_says_that_events_are_refused(database_url: str, tmp_path: Path) -> None:
    """As far as the api can see: how Redis answers a write, and whether a worker sweeps."""
    service = Valkey(tmp_path)
    child = await start_service(service)
    operator = Operator(service)
    await operator.begin()
    port, stop = free_port(), Stop()
    environ = {"DATABASE_URL": database_url, "REDIS_URL": service.url, "HEADRACE_PORT": str(port)}
    process = asyncio.create_task(run(environ, stop, {}))
    session = aiohttp.ClientSession()

    async def shows(text: str) -> None:
        async def is_shown() -> bool:
            try:
                async with session.get(f"http://127.0.0.1:{port}/") as page:
                    return text in await page.text()
            except aiohttp.ClientError:
                return False

        await until(is_shown, what=text)

    try:
        await shows("not now: tokens: The token projection is not fresh")
        seconds, _ = await operator.redis.time()
        await operator.redis.set("{projection}:swept", seconds * 1000)
        await shows('class="good"><strong>Events are taken')
        async with queue_states.busy(operator):
            await shows("not now: queue_unavailable: The queue is unavailable<")
        async with queue_states.full(operator):
            await shows("not now: queue_full: The queue is full<")
        await shows('class="good"><strong>Events are taken')
    finally:
        stop.request()
        await process
        await session.close()
        await operator.close()
        await child.stop()


@pytest.mark.integration
async def test_it_does_not_start_without_the_tables(empty_database_url: str, redis_url: str) -> None:
    """The error names the missing command."""
    environ = {"DATABASE_URL": empty_database_url, "REDIS_URL": redis_url}

    with pytest.raises(StartError, match="headrace migrate"):
        await run(environ, Stop(), {})


@pytest.mark.parametrize(
    ("environ", "variable"),
    [
        pytest.param({}, "HEADRACE_", id="nothing is set"),
        pytest.param(
            {"DATABASE_URL": "mysql://x", "REDIS_URL": "redis://x"}, "DATABASE_URL", id="a wrong URL"
        ),
        pytest.param(
            {
                "DATABASE_URL": "postgresql://x",
                "REDIS_URL": "redis://x",
                "HEADRACE_RETENTION_DAYS": "0",
            },
            "HEADRACE_RETENTION_DAYS",
            id="no retention",
        ),
    ],
)
async def test_an_invalid_setting_stops_the_start(environ: dict[str, str], variable: str) -> None:
    """One line that names the variable."""
    with pytest.raises(StartError, match=variable):
        await run(environ, Stop(), {})

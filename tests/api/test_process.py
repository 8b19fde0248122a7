"""The api process: its start, its end, and starts that cannot be."""

import asyncio
import socket

import aiohttp
import pytest

from collector.api.process import run
from collector.process.lifecycle import StartError, Stop
from tests.waiting import until


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@pytest.mark.integration
async def test_it_serves_until_it_is_told_to_stop(database_url: str, redis_url: str, key_prefix: str) -> None:
    """Ready once both servers are reached; the end leaves the port free."""
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
async def test_it_does_not_start_on_a_database_without_its_tables(
    empty_database_url: str, redis_url: str
) -> None:
    """The line says which command is missing."""
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
async def test_a_wrong_setting_ends_the_start(environ: dict[str, str], variable: str) -> None:
    """One line that names the variable."""
    with pytest.raises(StartError, match=variable):
        await run(environ, Stop(), {})

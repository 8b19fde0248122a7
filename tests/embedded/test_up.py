"""`headrace up` inside this process, so that a test can stop it directly."""

import asyncio
import io
import os
from collections.abc import Mapping
from pathlib import Path

import aiohttp
import msgspec
import pytest

from collector.embedded.console import Console
from collector.embedded.ready_file import ReadyFile
from collector.embedded.servers.ports import free_port
from collector.embedded.service import NotStarted, start_service
from collector.embedded.up import UpOptions, root_cause, run
from collector.process.clock import SystemClock
from collector.process.lifecycle import StartError, Stop
from tests.conftest import Servers
from tests.embedded.shell import ShellService
from tests.support.waiting import until

pytestmark = pytest.mark.integration


async def test_up_serves_until_it_is_stopped(tmp_path: Path) -> None:
    """Servers, ingest and worker run while the ready file exists.

    The ready file is in the data directory, too, for operators' commands.
    """
    stop, output = Stop(), io.StringIO()
    ready_path = tmp_path / "ready.json"
    options = UpOptions(tmp_path / "data", port=0, ready_file=ready_path)
    clock = SystemClock()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(run(options, {}, stop, console=Console(output, clock), clock=clock))
        await until(ready_path.exists, 60)
        ready = msgspec.json.decode(ready_path.read_bytes(), type=ReadyFile)
        async with aiohttp.ClientSession() as session, session.get(f"{ready.url}/health/ready") as response:
            assert response.status == 200
        in_data_dir = tmp_path / "data" / "ready.json"
        assert in_data_dir.read_bytes() == ready_path.read_bytes()
        stop.request()

    assert not ready_path.exists()
    assert not in_data_dir.exists()
    assert f"ready at {ready.url}" in output.getvalue()
    assert output.getvalue().endswith("Stopping.\n")


async def test_a_start_whose_posts_are_refused_says_why_and_continues(
    tmp_path: Path, servers: Servers, database_url: str
) -> None:
    """Reading works. The ready file is written once a posted event would be stored."""
    stop, output = Stop(), io.StringIO()
    ready_path, clock = tmp_path / "ready.json", SystemClock()
    port = free_port()
    options = UpOptions(tmp_path / "data", port=port, ready_file=ready_path)
    disk = tmp_path / "disk"
    environ = {
        "REDIS_URL": servers.redis_url,
        "DATABASE_URL": database_url,
        "HEADRACE_DURABILITY": os.environ.get("HEADRACE_DURABILITY", "strict"),
        "HEADRACE_QUEUE_DISK": str(disk),
        "HEADRACE_QUEUE_DISK_FREE_BYTES": str(1 << 60),
    }
    disk.mkdir()
    async with asyncio.TaskGroup() as tasks, aiohttp.ClientSession() as session:
        tasks.create_task(run(options, environ, stop, console=Console(output, clock), clock=clock))
        await until(lambda: "The queue's disk is almost full" in output.getvalue(), 60)
        async with session.get(f"http://127.0.0.1:{port}/health/ready") as ready:
            assert ready.status == 503
            assert "HEADRACE_QUEUE_DISK_FREE_BYTES" in (await ready.json())["checks"]["disk_short"]
        async with session.get(f"http://127.0.0.1:{port}/") as landing:
            text = await landing.text()
            assert "not now: disk_short: The queue&#x27;s disk is almost full" in text
        assert not ready_path.exists()
        assert "Headrace is ready" not in output.getvalue()
        disk.rmdir()  # a disk that cannot be read does not count as short
        await until(ready_path.exists, 30)
        stop.request()

    assert "Events are accepted again." in output.getvalue()
    assert "Headrace is ready at" in output.getvalue()


async def refusal(tmp_path: Path, environ: Mapping[str, str]) -> str:
    """The line that a start is refused with."""
    clock = SystemClock()
    options = UpOptions(tmp_path / "data", port=0)
    with pytest.raises(StartError) as refused:
        await run(options, environ, Stop(), console=Console(io.StringIO(), clock), clock=clock)
    return str(refused.value)


async def test_an_invalid_setting_of_a_child_is_reported_first(tmp_path: Path) -> None:
    """As if it were one of `up`."""
    line = await refusal(tmp_path, {"HEADRACE_BODY_LIMIT_BYTES": "lots"})

    assert line.startswith("HEADRACE_BODY_LIMIT_BYTES holds 'lots'")
    assert not (tmp_path / "data").exists()


async def test_a_child_that_cannot_start_says_why(tmp_path: Path) -> None:
    """Its last line becomes the error of `up`."""
    child = ShellService(tmp_path, "echo 'headrace: the port is taken.'; exit 2")
    with pytest.raises(NotStarted) as ended:
        await start_service(child)

    cause = root_cause(ExceptionGroup("of tasks", [ExceptionGroup("within", [ended.value])]))

    assert isinstance(cause, StartError)
    assert str(cause) == "the port is taken."


async def test_a_database_that_accepts_no_connections_is_reported(tmp_path: Path, servers: Servers) -> None:
    """Without the password."""
    wrong = servers.database_url.rpartition("@")
    environ = {"REDIS_URL": servers.redis_url, "DATABASE_URL": f"postgresql://nobody:guessed@{wrong[2]}"}

    line = await refusal(tmp_path, environ)

    assert "does not let us in" in line
    assert "unset it and `up` brings its own" in line
    assert "guessed" not in line

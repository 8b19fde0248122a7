"""How `headrace up` starts and stops; each test starts its own."""

import os
import signal
import socket
from pathlib import Path

import aiohttp
import msgspec
import pytest

from collector.embedded.ready_file import ReadyFile
from tests.conftest import Servers
from tests.end_to_end.running import all_pids, started_up, still_running
from tests.support.waiting import until

pytestmark = pytest.mark.end_to_end


async def test_sigterm_stops_everything_and_a_second_start_finds_it_again(tmp_path: Path) -> None:
    """Exit status 0, no process and no ready file left. Data, credentials and URLs stay."""
    async with (
        started_up(tmp_path / "data", "--ingest", "2") as up,
        aiohttp.ClientSession() as session,
    ):
        await up.until_ready()
        first = up.ready
        assert await up.post(session, "kept-over-a-restart") == 202
        await up.until_found(session, "kept-over-a-restart")

        up.process.send_signal(signal.SIGTERM)

        assert await up.ended() == 0
        assert not up.ready_path.exists()
        assert not still_running(all_pids(first))
        assert len(first.pids["ingest"]) == len(set(first.pids["ingest"])) == 2

    async with started_up(tmp_path / "data") as up, aiohttp.ClientSession() as session:
        await up.until_ready()
        await up.until_found(session, "kept-over-a-restart")
        again = {**msgspec.structs.asdict(up.ready), "url": first.url, "pids": first.pids}
        assert ReadyFile(**again) == first


async def test_orphans_of_a_killed_up_are_stopped_by_the_next(tmp_path: Path) -> None:
    """Two servers on one data directory would damage it."""
    async with started_up(tmp_path / "data") as killed:
        await killed.until_ready()
        left = all_pids(killed.ready)
        killed.process.kill()
        await killed.ended()
        assert still_running(left) == left

        async with started_up(tmp_path / "data") as up:
            await until(lambda: "Headrace is ready" in up.output, 60)
            assert not still_running(left)
            stopped = "Stopped processes that an earlier run had left: ingest, worker, postgres, valkey."
            assert stopped in up.output
            assert not left & all_pids(up.ready)


async def test_sigterm_during_the_start_leaves_nothing_running(tmp_path: Path) -> None:
    """And ends it without a long wait."""
    async with started_up(tmp_path / "data") as up:
        await until(lambda: "Starting Valkey and Postgres ..." in up.output, 30)

        up.process.send_signal(signal.SIGTERM)

        assert await up.ended() == 0
    async with started_up(tmp_path / "data") as again:
        await again.until_ready()
        assert "that an earlier run had left" not in again.output


async def test_given_servers_are_used_instead_of_embedded_ones(
    tmp_path: Path, servers: Servers, database_url: str, key_prefix: str
) -> None:
    """They keep running."""
    given = {
        "REDIS_URL": servers.redis_url,
        "DATABASE_URL": database_url,
        "HEADRACE_REDIS_KEY_PREFIX": key_prefix,
    }
    async with (
        started_up(tmp_path / "data", environ=given) as up,
        aiohttp.ClientSession() as session,
    ):
        await up.until_ready()
        assert await up.post(session, "in-a-given-server") == 202
        await up.until_found(session, "in-a-given-server")
        assert (up.ready.redis_url, up.ready.database_url) == (servers.redis_url, database_url)
        assert up.ready.pids["valkey"] == up.ready.pids["postgres"] == []


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        pytest.param({"REDIS_URL": "http://x"}, "REDIS_URL holds 'http://x'", id="a wrong URL"),
        pytest.param({"HEADRACE_PORT": "many"}, "HEADRACE_PORT holds 'many'", id="a setting of `up`"),
        pytest.param({"HEADRACE_SHARDS": "0"}, "HEADRACE_SHARDS holds '0'", id="a setting of its children"),
        pytest.param({"HEADRACE_HOST": "192.0.2.1"}, "cannot listen on 192.0.2.1", id="an address elsewhere"),
    ],
)
async def test_a_bad_setting_is_one_line_and_exit_status_2(
    tmp_path: Path, environ: dict[str, str], said: str
) -> None:
    """Before anything is started."""
    async with started_up(tmp_path / "data", environ=environ) as up:
        assert await up.ended(60) == 2
        (line,) = up.output.splitlines()
        assert line.startswith(f"headrace: {said}")
        assert not (up.directory / "logs").exists()


async def test_a_port_in_use_is_one_line_and_exit_status_2(tmp_path: Path) -> None:
    """Before anything slow is done."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        async with started_up(tmp_path / "data", "--port", str(port)) as up:
            assert await up.ended() == 2
            (line,) = up.output.splitlines()
            assert line.startswith(f"headrace: port {port} of 127.0.0.1 is in use; ")


async def test_a_data_directory_that_cannot_be_created_is_one_line_and_exit_status_2(tmp_path: Path) -> None:
    """A file is in the way, for root as for everybody."""
    (tmp_path / "file").touch()

    async with started_up(tmp_path / "file" / "data") as up:
        assert await up.ended() == 2
        assert up.output.startswith("headrace: ")
        assert up.output.count("\n") == 1


async def test_a_child_that_cannot_start_is_a_failed_start_with_its_last_lines(tmp_path: Path) -> None:
    """Here the queue's data cannot be read; exit status 1."""
    async with started_up(tmp_path / "data") as up:
        await up.until_ready()
        os.kill(up.process.pid, signal.SIGTERM)
        assert await up.ended() == 0
    broken = tmp_path / "data" / "valkey" / "appendonlydir" / "appendonly.aof.manifest"
    broken.write_text("nonsense\n")

    async with started_up(tmp_path / "data") as up:
        assert await up.ended(60) == 1
        assert "headrace: valkey did not start (exit status 1); " in up.output
        assert str(tmp_path / "data" / "logs" / "valkey.log") in up.output
        assert "manifest" in up.output

import io
import json
import os
import signal
import stat
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from collector.embedded.banner import banner
from collector.embedded.console import Console
from collector.embedded.managed_process import all_ready, kept_running
from collector.embedded.orphans import ProcessRecord
from collector.embedded.ready_file import ReadyFile
from collector.embedded.supervisor import INGEST, VALKEY, WORKER, Supervisor
from collector.process.clock import SystemClock
from tests.embedded.shell import ShellService
from tests.end_to_end.pasting import SPECIAL
from tests.support.waiting import until

READY = ReadyFile(
    url="http://127.0.0.1:8080",
    email="admin@example.com",
    password="password",
    user_token="u" * 40,
    client_token="c" * 40,
    organization_id="0" * 32,
    project_id="1" * 32,
    redis_url="redis://127.0.0.1:6379/0",
    database_url="postgresql://127.0.0.1:5432/headrace",
    pids={},
)

Said = Callable[[], str]


@pytest.fixture
def output() -> io.StringIO:
    """The terminal's output."""
    return io.StringIO()


@pytest.fixture
def supervisor(tmp_path: Path, output: io.StringIO) -> Supervisor:
    """A supervisor without children."""
    clock = SystemClock()
    record = ProcessRecord(tmp_path / "processes.json")
    return Supervisor(record, [tmp_path / "ready.json"], Console(output, clock), clock)


def read(path: Path) -> dict[str, object]:
    """The ready file, as another program reads it."""
    return dict(json.loads(path.read_bytes()))


async def test_the_ready_file_names_every_process_by_its_role(supervisor: Supervisor, tmp_path: Path) -> None:
    """Ingest serves ingest and api, so it has both roles. A given server has no process."""
    ingest_processes = supervisor.manage(
        INGEST, [ShellService(tmp_path, name="ingest-1"), ShellService(tmp_path, name="ingest-2")]
    )
    worker = supervisor.manage(WORKER, [ShellService(tmp_path, name="worker")])
    supervisor.manage(VALKEY, [])

    async with kept_running([*ingest_processes, *worker]):
        await all_ready([*ingest_processes, *worker])
        supervisor.publish(READY)

        ingest_pids = [managed.pid for managed in ingest_processes]
        expected = {
            "ingest": ingest_pids,
            "api": ingest_pids,
            "worker": [worker[0].pid],
            "valkey": [],
            "postgres": [],
        }
        assert read(tmp_path / "ready.json")["pids"] == expected
        assert stat.S_IMODE(os.stat(tmp_path / "ready.json").st_mode) == 0o600  # noqa: PTH116


async def test_a_restart_is_one_line_and_updates_the_ready_file(
    supervisor: Supervisor, tmp_path: Path, output: io.StringIO
) -> None:
    """The line has the reason, the file the new process."""
    processes = supervisor.manage(WORKER, [ShellService(tmp_path, name="worker")])
    async with kept_running(processes):
        await all_ready(processes)
        supervisor.publish(READY)
        first = processes[0].pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await until(lambda: "restarted" in output.getvalue())

        assert read(tmp_path / "ready.json")["pids"] == supervisor.pids()
        assert processes[0].pid != first
    (line,) = output.getvalue().splitlines()
    assert "worker was restarted in" in line
    assert "(killed by SIGKILL)" in line


async def test_a_failed_restart_is_reported(
    supervisor: Supervisor, tmp_path: Path, output: io.StringIO
) -> None:
    """With the path of the log."""
    service = ShellService(tmp_path, name="worker")
    processes = supervisor.manage(WORKER, [service])
    async with kept_running(processes):
        await all_ready(processes)
        service.script = "exit 9"
        assert processes[0].pid is not None
        os.kill(processes[0].pid, signal.SIGKILL)
        await until(lambda: "could not be restarted yet" in output.getvalue())

    assert "exit status 9" in output.getvalue()
    assert str(tmp_path / "worker.log") in output.getvalue()


def test_a_withdrawn_ready_file_stays_away(supervisor: Supervisor, tmp_path: Path) -> None:
    """A restart during the stop does not write it again."""
    supervisor.publish(READY)
    supervisor.withdraw()

    supervisor.restarted(ShellService(tmp_path), "killed by SIGKILL", 0.1)

    assert not (tmp_path / "ready.json").exists()


def test_the_banner_has_the_address_two_requests_and_the_login() -> None:
    """And the path of the data."""
    text = banner(READY, Path("/data"), 1.5)

    assert "ready at http://127.0.0.1:8080 after 1.5 s\n" in text
    assert text.count("curl ") == 2
    assert READY.client_token in text
    assert READY.user_token in text
    assert "admin@example.com  password\n" in text
    assert "/data\n" in text


@pytest.mark.parametrize("password", ["secret", ""])
def test_comments_in_the_banner_are_harmless_in_any_shell(password: str) -> None:
    """Zsh runs a pasted comment as a command: a bracket in it would break the whole paste."""
    text = banner(msgspec.structs.replace(READY, password=password), Path("/data"), 1.5)

    comments = [line for line in text.splitlines() if line.startswith("#")]

    assert len(comments) == 5
    assert not SPECIAL & set("".join(comments))


def test_two_banners_post_two_events() -> None:
    """With the same reference id, the second would be a duplicate."""
    assert banner(READY, Path("/data"), 1) != banner(READY, Path("/data"), 1)


def test_a_step_is_shown_with_its_seconds(output: io.StringIO) -> None:
    """As plain lines unless on a terminal, whatever their length."""
    console = Console(output, SystemClock())
    with console.step("Starting " + "very " * 40 + "slowly"):
        pass

    begun, ended = output.getvalue().splitlines()
    assert begun.endswith("slowly ...")
    assert ended.endswith("slowly: 0.0 s")

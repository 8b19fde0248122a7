import stat
from pathlib import Path

import msgspec
import psutil

from collector.embedded.child import Child
from collector.embedded.orphans import ProcessRecord, RecordedProcess
from tests.embedded.shell import ShellService
from tests.support.waiting import until


async def running(directory: Path, script: str = "exec sleep 60") -> Child:
    """A process that has no supervisor."""
    return Child.start(await ShellService(directory, script).prepare())


def mode_of(path: Path) -> int:
    """The permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


async def test_orphans_of_a_killed_run_are_stopped_in_reverse_order(tmp_path: Path) -> None:
    """The next run reads the record, stops every process in it and clears it."""
    path = tmp_path / "processes.json"
    killed_run = ProcessRecord(path)
    first, second = await running(tmp_path), await running(tmp_path)
    killed_run.note("valkey", first)
    killed_run.note("worker", second)

    assert await ProcessRecord(path).stop_orphans() == ["worker", "valkey"]

    assert await first.wait() < 0
    assert await second.wait() < 0
    assert await ProcessRecord(path).stop_orphans() == []


async def test_an_orphan_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    """A start is not delayed forever."""
    record = ProcessRecord(tmp_path / "processes.json")
    child = await running(tmp_path, "trap '' TERM INT; echo up; while :; do sleep 0.05; done")
    await until(lambda: child.last_lines() == ["up"])
    record.note("worker", child)

    assert await ProcessRecord(tmp_path / "processes.json").stop_orphans() == ["worker"]

    assert await child.wait() == -9


async def test_another_program_with_the_same_process_id_is_left_alone(tmp_path: Path) -> None:
    """Process ids are reused; the start time identifies a process."""
    path = tmp_path / "processes.json"
    stranger = await running(tmp_path)
    start_time = psutil.Process(stranger.pid).create_time()
    path.write_bytes(msgspec.json.encode({"worker": RecordedProcess(stranger.pid, start_time - 60, 15)}))

    assert await ProcessRecord(path).stop_orphans() == []

    assert psutil.pid_exists(stranger.pid)
    await stranger.stop()


async def test_dead_processes_and_a_damaged_record_are_ignored(tmp_path: Path) -> None:
    path = tmp_path / "processes.json"
    record = ProcessRecord(path)
    child = await running(tmp_path, "exit 0")
    record.note("worker", child)
    await child.wait()

    assert await ProcessRecord(path).stop_orphans() == []
    path.write_bytes(b"{")
    assert await ProcessRecord(path).stop_orphans() == []


async def test_a_restarted_child_replaces_the_dead_one_in_the_record(tmp_path: Path) -> None:
    """The record does not grow, and only its owner can read it."""
    path = tmp_path / "processes.json"
    record = ProcessRecord(path)
    for child in (await running(tmp_path), await running(tmp_path)):
        record.note("worker", child)
        await child.stop()

    assert len(msgspec.json.decode(path.read_bytes())) == 1
    assert mode_of(path) == 0o600

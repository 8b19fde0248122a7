import asyncio
import os
import signal
from pathlib import Path

import psutil
import pytest

from collector.embedded.child import Child, Program, ending
from collector.process.lifecycle import StartError
from tests.support.waiting import until


def shell(script: str, log: Path, **options: object) -> Program:
    """A child that runs a line of shell."""
    return Program(("/bin/sh", "-c", script), {"PATH": "/usr/bin:/bin"}, log, **options)  # type: ignore[arg-type]


async def test_the_exit_status_is_returned(tmp_path: Path) -> None:
    """To every caller that waits, also after the child has ended."""
    child = Child.start(shell("exit 3", tmp_path / "log"))

    assert await child.wait() == 3
    assert await child.wait() == 3


async def test_the_signal_that_ended_a_child_is_named(tmp_path: Path) -> None:
    child = Child.start(shell("exec sleep 60", tmp_path / "log"))

    os.kill(child.pid, signal.SIGKILL)

    assert ending(await child.wait()) == "killed by SIGKILL"


async def test_a_child_is_terminated_before_it_is_killed(tmp_path: Path) -> None:
    """So it can clean up on SIGTERM."""
    child = Child.start(
        shell("trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done", tmp_path / "log")
    )
    await until(lambda: child.last_lines() == ["up"])

    await child.stop()

    assert await child.wait() == 0
    assert child.last_lines() == ["up", "bye"]


async def test_a_child_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    """A stop is always bounded."""
    script = "trap '' TERM; echo up; while :; do sleep 1; done"
    child = Child.start(shell(script, tmp_path / "log", stop_seconds=0.1))
    await until(lambda: child.last_lines() == ["up"])

    await child.stop()

    assert await child.wait() == -signal.SIGKILL


async def test_a_child_has_its_time_even_if_the_waiter_is_cancelled_repeatedly(tmp_path: Path) -> None:
    """As by `lifecycle.cancelled`. The cancellation takes effect once the child has ended."""
    ends = "echo asked; while ! test -e go; do sleep 0.01; done; exit 5"
    script = f"trap '{ends}' TERM; echo up; while :; do sleep 0.01; done"
    child = Child.start(shell(script, tmp_path / "log", directory=tmp_path))
    await until(lambda: child.last_lines() == ["up"])
    stopping = asyncio.ensure_future(child.stop())
    await until(lambda: child.last_lines() == ["up", "asked"])

    for _ in range(3):
        stopping.cancel()
        await asyncio.sleep(0)
    assert not stopping.done()
    (tmp_path / "go").touch()
    with pytest.raises(asyncio.CancelledError):
        await stopping

    assert await child.wait() == 5


async def test_a_child_that_ignores_sigterm_is_killed_even_if_the_waiter_is_cancelled(
    tmp_path: Path,
) -> None:
    """Nothing keeps running."""
    script = "trap '' TERM; echo up; while :; do sleep 0.05; done"
    child = Child.start(shell(script, tmp_path / "log", stop_seconds=0.1))
    await until(lambda: child.last_lines() == ["up"])
    stopping = asyncio.ensure_future(child.stop())
    await asyncio.sleep(0)

    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping

    assert not psutil.pid_exists(child.pid)


async def test_a_child_that_should_not_be_killed_gets_a_second_signal_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So it can still stop the processes that it has started."""
    monkeypatch.setattr("collector.embedded.child._HURRY_SECONDS", 30.0)
    # Not SIGQUIT: tests that run in the background of a script ignore it, and so do the shells they start.
    script = "trap '' TERM; trap 'echo in a hurry; exit 6' USR1; echo up; while :; do sleep 0.01; done"
    program = shell(script, tmp_path / "log", stop_seconds=0.1, hurry_signal=signal.SIGUSR1)
    child = Child.start(program)
    await until(lambda: child.last_lines() == ["up"])

    await child.stop()

    assert await child.wait() == 6
    assert child.last_lines() == ["up", "in a hurry"]


async def test_ctrl_c_on_the_terminal_does_not_reach_a_child(tmp_path: Path) -> None:
    """It has a separate session, so that children are stopped in order."""
    child = Child.start(shell("exec sleep 60", tmp_path / "log"))

    assert os.getsid(child.pid) == child.pid

    await child.stop()


async def test_the_program_can_give_a_child_standard_input(tmp_path: Path) -> None:
    """A secret given this way is in no process list and no file."""
    child = Child.start(shell("cat", tmp_path / "log", stdin=b"secret\n"))

    await child.wait()

    assert child.last_lines() == ["secret"]


async def test_only_the_lines_of_this_run_are_shown(tmp_path: Path) -> None:
    """Lines of earlier runs stay in the log."""
    await Child.start(shell("echo old", tmp_path / "log")).wait()
    child = Child.start(shell("echo new; echo newer", tmp_path / "log"))

    await child.wait()

    assert child.last_lines() == ["new", "newer"]
    assert child.last_lines(1) == ["newer"]
    assert (tmp_path / "log").read_text() == "old\nnew\nnewer\n"


async def test_a_large_log_is_rotated_at_the_start(tmp_path: Path) -> None:
    """So the lines of one run stay together."""
    log = tmp_path / "x.log"
    log.write_bytes(b"." * 10_000_001)

    await Child.start(shell("echo new", log)).wait()

    assert log.read_text() == "new\n"
    assert (tmp_path / "x.log.1").stat().st_size == 10_000_000


async def test_a_missing_program_is_a_failed_start(tmp_path: Path) -> None:
    """In one line that names it."""
    with pytest.raises(StartError, match="/nowhere/at/all cannot be started"):
        Child.start(Program(("/nowhere/at/all",), {}, tmp_path / "log"))


async def test_an_ended_child_leaves_no_zombie(tmp_path: Path) -> None:
    child = Child.start(shell("exit 0", tmp_path / "log"))

    await child.wait()

    assert not psutil.pid_exists(child.pid)

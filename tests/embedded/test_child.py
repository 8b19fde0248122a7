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
    """A line of shell."""
    return Program(("/bin/sh", "-c", script), {"PATH": "/usr/bin:/bin"}, log, **options)  # type: ignore[arg-type]


async def test_its_exit_status_is_told(tmp_path: Path) -> None:
    """Everybody who waits is told, also after it has ended."""
    child = Child.start(shell("exit 3", tmp_path / "log"))

    assert await child.wait() == 3
    assert await child.wait() == 3


async def test_a_signal_that_ended_it_is_told(tmp_path: Path) -> None:
    """By its name."""
    child = Child.start(shell("exec sleep 60", tmp_path / "log"))

    os.kill(child.pid, signal.SIGKILL)

    assert ending(await child.wait()) == "killed by SIGKILL"


async def test_it_is_asked_to_end_before_it_is_killed(tmp_path: Path) -> None:
    """A child that cleans up on SIGTERM gets to do so."""
    child = Child.start(
        shell("trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done", tmp_path / "log")
    )
    await until(lambda: child.last_lines() == ["up"])

    await child.stop()

    assert await child.wait() == 0
    assert child.last_lines() == ["up", "bye"]


async def test_one_that_ignores_the_request_is_killed(tmp_path: Path) -> None:
    """The end is bounded, whatever a child does."""
    script = "trap '' TERM; echo up; while :; do sleep 1; done"
    child = Child.start(shell(script, tmp_path / "log", stop_seconds=0.1))
    await until(lambda: child.last_lines() == ["up"])

    await child.stop()

    assert await child.wait() == -signal.SIGKILL


async def test_it_has_its_time_however_often_whoever_waits_is_cancelled(tmp_path: Path) -> None:
    """`lifecycle.cancelled` does not stop asking; the cancellation takes effect once the child has ended."""
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


async def test_it_is_gone_even_when_whoever_waits_is_cancelled_and_it_ignores_the_request(
    tmp_path: Path,
) -> None:
    """Nothing is left running: the time is bounded."""
    script = "trap '' TERM; echo up; while :; do sleep 0.05; done"
    child = Child.start(shell(script, tmp_path / "log", stop_seconds=0.1))
    await until(lambda: child.last_lines() == ["up"])
    stopping = asyncio.ensure_future(child.stop())
    await asyncio.sleep(0)

    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping

    assert not psutil.pid_exists(child.pid)


async def test_one_that_must_not_be_killed_is_asked_to_hurry_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It can still end what it has started."""
    monkeypatch.setattr("collector.embedded.child._HURRY_SECONDS", 30.0)
    # Not SIGQUIT: a test run in the background of a script ignores it, and so do the shells that it starts.
    script = "trap '' TERM; trap 'echo in a hurry; exit 6' USR1; echo up; while :; do sleep 0.01; done"
    program = shell(script, tmp_path / "log", stop_seconds=0.1, hurry_signal=signal.SIGUSR1)
    child = Child.start(program)
    await until(lambda: child.last_lines() == ["up"])

    await child.stop()

    assert await child.wait() == 6
    assert child.last_lines() == ["up", "in a hurry"]


async def test_ctrl_c_on_the_terminal_does_not_reach_it(tmp_path: Path) -> None:
    """It has a session of its own, so that children are stopped in order and not all at once."""
    child = Child.start(shell("exec sleep 60", tmp_path / "log"))

    assert os.getsid(child.pid) == child.pid

    await child.stop()


async def test_its_standard_input_is_what_the_program_says(tmp_path: Path) -> None:
    """A secret given this way is in no process list and in no file."""
    child = Child.start(shell("cat", tmp_path / "log", stdin=b"secret\n"))

    await child.wait()

    assert child.last_lines() == ["secret"]


async def test_only_what_it_wrote_itself_is_shown(tmp_path: Path) -> None:
    """An older run's lines stay in the log and out of this run's failure."""
    await Child.start(shell("echo old", tmp_path / "log")).wait()
    child = Child.start(shell("echo new; echo newer", tmp_path / "log"))

    await child.wait()

    assert child.last_lines() == ["new", "newer"]
    assert child.last_lines(1) == ["newer"]
    assert (tmp_path / "log").read_text() == "old\nnew\nnewer\n"


async def test_a_large_log_is_put_aside(tmp_path: Path) -> None:
    """Before a child begins to write: its lines are together."""
    log = tmp_path / "x.log"
    log.write_bytes(b"." * 10_000_001)

    await Child.start(shell("echo new", log)).wait()

    assert log.read_text() == "new\n"
    assert (tmp_path / "x.log.1").stat().st_size == 10_000_000


async def test_a_program_that_is_not_there_is_a_failed_start(tmp_path: Path) -> None:
    """In one line that names it."""
    with pytest.raises(StartError, match="/nowhere/at/all cannot be started"):
        Child.start(Program(("/nowhere/at/all",), {}, tmp_path / "log"))


async def test_an_ended_child_leaves_no_zombie(tmp_path: Path) -> None:
    """The process table is not ours to fill."""
    child = Child.start(shell("exit 0", tmp_path / "log"))

    await child.wait()

    assert not psutil.pid_exists(child.pid)

"""Fault points exist for crash tests only, and a process dies at one exactly once."""

import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from collector.ingest.fault_points import with_fault_points as sink_with_fault_points
from collector.process.clock import SystemClock
from collector.process.faults import NO_FAULTS, FaultPoint, ShiftedClock, read_faults
from collector.process.lifecycle import StartError
from tests.support.fakes import FakeClock, FakePostSink
from tests.worker.fakes import FakeStore, FakeStream
from worker.fault_points import with_fault_points

REACH = (
    "import sys; from collector.process.faults import read_faults\n"
    "read_faults({'HEADRACE_FAULTS': 'on', 'HEADRACE_FAULTS_DIRECTORY': sys.argv[1]}).reach('after_commit')"
)


def test_without_the_switch_there_are_no_faults() -> None:
    """And no wrapper between ingest and its queue, or the worker and its store."""
    faults = read_faults({})
    sink, stream, store = FakePostSink(), FakeStream(), FakeStore()

    assert faults is NO_FAULTS
    assert isinstance(faults.clock, SystemClock)
    assert sink_with_fault_points(sink, faults) is sink
    assert with_fault_points(stream, store, faults) == (stream, store)
    for point in FaultPoint:
        faults.reach(point)


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param({"HEADRACE_FAULTS_DIRECTORY": "/tmp"}, id="fault points"),  # noqa: S108 - not used
        pytest.param({"HEADRACE_CLOCK_OFFSET_SECONDS": "60"}, id="another time"),
    ],
)
def test_faults_that_are_not_switched_on_end_the_start(asked: dict[str, str]) -> None:
    """So a test's setting cannot slip into production."""
    with pytest.raises(StartError, match="HEADRACE_FAULTS=on"):
        read_faults(asked)
    assert read_faults({**asked, "HEADRACE_FAULTS": "on"}) != NO_FAULTS


def test_a_process_dies_at_an_armed_point_once(tmp_path: Path) -> None:
    """Its successor passes the point unharmed, as does a process at another point."""
    (tmp_path / FaultPoint.AFTER_COMMIT).touch()
    (tmp_path / FaultPoint.AFTER_APPEND).touch()

    def reach() -> int:
        return subprocess.run([sys.executable, "-c", REACH, tmp_path], check=False, timeout=30).returncode  # noqa: S603

    assert (reach(), reach()) == (-signal.SIGKILL, 0)
    assert [path.name for path in tmp_path.iterdir()] == [FaultPoint.AFTER_APPEND]


def test_a_clock_that_is_set_shows_another_time_of_day_only() -> None:
    """Durations do not change."""
    clock = FakeClock()
    ahead = ShiftedClock(clock, timedelta(hours=2))

    assert ahead.now() - clock.now() == timedelta(hours=2)
    assert ahead.now_ms() - clock.now_ms() == 7_200_000
    assert ahead.monotonic() == clock.monotonic()


def test_the_offset_is_a_setting_of_crash_tests() -> None:
    """In seconds, positive or negative."""
    faults = read_faults({"HEADRACE_FAULTS": "on", "HEADRACE_CLOCK_OFFSET_SECONDS": "-3600"})

    assert isinstance(faults.clock, ShiftedClock)
    assert faults.clock.offset == timedelta(hours=-1)
    assert faults.directory is None

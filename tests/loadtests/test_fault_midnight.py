"""Crash tests pass a midnight with posts before and after it, on slow machines, too."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from loadtests.fault_run.midnight import plant_before_midnight
from loadtests.fault_run.plant import PlantError
from tests.support.real_clock import real_now


class SlowStart:
    """Starts plants that take this long, by a clock that only advances then."""

    def __init__(self, *seconds: float) -> None:
        self.seconds = list(seconds)
        self.time = 1_000.0
        self.settings: list[Mapping[str, str]] = []
        self.folders: set[Path] = set()
        self.running = 0

    @asynccontextmanager
    async def __call__(self, folder: Path, settings: Mapping[str, str]) -> AsyncIterator[Any]:
        """A plant without processes."""
        self.folders.add(folder)
        self.settings.append(settings)
        self.time += self.seconds.pop(0)
        self.running += 1
        yield object()
        self.running -= 1

    def monotonic(self) -> float:
        return self.time


def clock_of(settings: Mapping[str, str]) -> datetime:
    """The clock of an ingest process with these settings at its start."""
    return real_now() + timedelta(seconds=int(settings["HEADRACE_CLOCK_OFFSET_SECONDS"]))


@pytest.mark.parametrize(
    ("seconds", "after"),
    [
        pytest.param([5.0], 25.0, id="in time"),
        pytest.param([40.0, 40.0], 25.0 + 40.0 + 10.0, id="too late the first time"),
        pytest.param([16.0, 50.0, 60.0], 25.0 + 50.0 + 10.0, id="too late twice"),
    ],
)
async def test_midnight_is_ahead_when_the_plant_runs(
    tmp_path: Path, seconds: list[float], after: float
) -> None:
    """If a start was too slow, that plant is stopped and another is started with more time."""
    start = SlowStart(*seconds)

    async with plant_before_midnight(tmp_path, 25, start, start.monotonic) as (_, midnight):
        assert start.seconds == []
        assert start.running == 1
        assert len(start.folders) == len(seconds)
        assert midnight.at == start.time - seconds[-1] + after
        shown = clock_of(start.settings[-1])
        assert (shown + timedelta(seconds=after + 30)).day != (shown - timedelta(seconds=30)).day

    assert start.running == 0


async def test_a_plant_that_takes_longer_each_time_is_given_up(tmp_path: Path) -> None:
    """With a line that says so."""
    start = SlowStart(20, 90, 200)

    with pytest.raises(PlantError, match="ever longer to start, 200 s at last"):
        async with plant_before_midnight(tmp_path, 25, start, start.monotonic):
            pass


async def test_a_run_without_a_midnight_starts_once(tmp_path: Path) -> None:
    """However long that takes, and with the machine's time."""
    start = SlowStart(80)

    async with plant_before_midnight(tmp_path, 0, start, start.monotonic) as (_, midnight):
        assert start.settings == [{}]
        assert not await midnight.passed()

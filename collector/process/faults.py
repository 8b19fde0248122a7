"""Fault injection for crash tests: points at which a process kills itself, and a shifted clock.

Active only with `HEADRACE_FAULTS=on`. A file in `HEADRACE_FAULTS_DIRECTORY` with the name of a fault point
arms it: the first process that reaches the point removes the file and kills itself with SIGKILL.
"""

import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final, Literal

from collector.process.clock import Clock, SystemClock
from collector.process.lifecycle import StartError
from collector.process.settings import Settings, read_settings


class FaultPoint(StrEnum):
    """The points at which a process can be made to die."""

    AFTER_APPEND = "after_append"
    """In ingest: the batch is on disk, and no client has been answered."""
    AFTER_READ = "after_read"
    """In the worker: entries are read, and nothing is stored."""
    AFTER_CLAIM = "after_claim"
    """In the worker: another worker's entries are claimed, and nothing is stored."""
    AFTER_COMMIT = "after_commit"
    """In the worker: the transaction is committed, and nothing is acknowledged."""


class FaultSettings(Settings, frozen=True, kw_only=True):
    """The settings of crash tests."""

    faults: Literal["off", "on"] = "off"
    faults_directory: str = ""
    clock_offset_seconds: int = 0


@dataclass(frozen=True, slots=True)
class FaultPoints:
    """The fault injection of this process; `directory` is None when no fault point can be armed."""

    directory: Path | None = None
    clock: Clock = field(default_factory=SystemClock)

    def reach(self, point: FaultPoint) -> None:
        """Die here if the point is armed."""
        if self.directory is None:
            return
        with suppress(FileNotFoundError):
            (self.directory / point).unlink()
            os.kill(os.getpid(), signal.SIGKILL)


NO_FAULTS: Final = FaultPoints()
"""For every process outside crash tests."""


def read_faults(environ: Mapping[str, str]) -> FaultPoints:
    """Read the settings. Raises StartError if they ask for faults without `HEADRACE_FAULTS=on`."""
    settings = read_settings(FaultSettings, environ)
    if settings.faults == "off":
        if settings.faults_directory or settings.clock_offset_seconds:
            raise StartError(
                "fault points and a shifted clock are for crash tests: they need HEADRACE_FAULTS=on."
            )
        return NO_FAULTS
    directory = Path(settings.faults_directory) if settings.faults_directory else None
    offset = timedelta(seconds=settings.clock_offset_seconds)
    return FaultPoints(directory, ShiftedClock(SystemClock(), offset) if offset else SystemClock())


@dataclass(frozen=True, slots=True)
class ShiftedClock:
    """A clock that shows another time of day; durations are not affected."""

    clock: Clock
    offset: timedelta

    def now(self) -> datetime:
        """The shifted time of day in UTC."""
        return self.clock.now() + self.offset

    def now_ms(self) -> int:
        """The shifted time of day in Unix milliseconds."""
        return self.clock.now_ms() + self.offset // timedelta(milliseconds=1)

    def monotonic(self) -> float:
        """Seconds that never decrease."""
        return self.clock.monotonic()

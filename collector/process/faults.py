"""Fault points: where a process kills itself because a crash test has asked for it, and a clock that is set.

Only with `HEADRACE_FAULTS=on`; otherwise nothing of this is on any path. A file in the directory
`HEADRACE_FAULTS_DIRECTORY` with the name of a fault point arms it: the first process that gets there removes
the file and dies of SIGKILL.
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
    """Where a process can be made to die."""

    AFTER_APPEND = "after_append"
    """At ingest: the batch is on disk, nobody has been answered."""
    AFTER_READ = "after_read"
    """In the worker: entries are in hand, nothing is stored."""
    AFTER_CLAIM = "after_claim"
    """In the worker: entries of another one are in hand, nothing is stored."""
    AFTER_COMMIT = "after_commit"
    """In the worker: the transaction is committed, nothing is acknowledged."""


class FaultSettings(Settings, frozen=True, kw_only=True):
    """What crash tests set in the environment."""

    faults: Literal["off", "on"] = "off"
    faults_directory: str = ""
    clock_offset_seconds: int = 0


@dataclass(frozen=True, slots=True)
class FaultPoints:
    """What a crash test may do to this process; `directory` is None where there is none."""

    directory: Path | None = None
    clock: Clock = field(default_factory=SystemClock)

    def reach(self, point: FaultPoint) -> None:
        """Die here if that was asked for."""
        if self.directory is None:
            return
        with suppress(FileNotFoundError):
            (self.directory / point).unlink()
            os.kill(os.getpid(), signal.SIGKILL)


NO_FAULTS: Final = FaultPoints()
"""For every process that is not under a crash test."""


def read_faults(environ: Mapping[str, str]) -> FaultPoints:
    """What the environment allows. Raises StartError where it asks for faults without switching them on."""
    settings = read_settings(FaultSettings, environ)
    if settings.faults == "off":
        if settings.faults_directory or settings.clock_offset_seconds:
            raise StartError(
                "faults and a clock that is set are for crash tests: they need HEADRACE_FAULTS=on."
            )
        return NO_FAULTS
    directory = Path(settings.faults_directory) if settings.faults_directory else None
    offset = timedelta(seconds=settings.clock_offset_seconds)
    return FaultPoints(directory, SetClock(SystemClock(), offset) if offset else SystemClock())


@dataclass(frozen=True, slots=True)
class SetClock:
    """A clock that shows another time of day; durations stay what they are."""

    clock: Clock
    offset: timedelta

    def now(self) -> datetime:
        """The time of day that it shows, in UTC."""
        return self.clock.now() + self.offset

    def now_ms(self) -> int:
        """The same, in Unix milliseconds."""
        return self.clock.now_ms() + self.offset // timedelta(milliseconds=1)

    def monotonic(self) -> float:
        """Seconds that only grow."""
        return self.clock.monotonic()

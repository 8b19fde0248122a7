"""Processes that a killed `headrace up` left behind: found by process id and start time, and stopped.

The record is kept in a file of the data directory and written before anything else is done with a child.
"""

import asyncio
import os
import signal
from pathlib import Path
from typing import Final

import msgspec
import psutil

from collector.embedded.child import Child, end_of
from collector.embedded.private_files import write_private

_SAME_START_SECONDS: Final = 2.0
"""A process's start time is computed from the boot time, which shifts a little when the clock is set."""
_STOP_SECONDS: Final = 5.0


class RecordedProcess(msgspec.Struct, frozen=True):
    """A child: how to recognise it, and what asks it to end."""

    pid: int
    start_time: float
    stop_signal: int


class ProcessRecord:
    """The children by name, in the order in which they were first started."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._processes: dict[str, RecordedProcess] = {}

    def note(self, name: str, child: Child) -> None:
        """Remember a child; one of the same name takes the place of an older one."""
        try:
            start_time = psutil.Process(child.pid).create_time()
        except psutil.Error:  # it is dead already
            return
        self._processes[name] = RecordedProcess(child.pid, start_time, int(child.stop_signal))
        write_private(self._path, msgspec.json.encode(self._processes))

    def clear(self) -> None:
        """Forget them: they have ended."""
        self._processes = {}
        self._path.unlink(missing_ok=True)

    async def stop_orphans(self) -> list[str]:
        """Stop what an earlier run left, last started first; answers their names."""
        stopped = []
        for name, process in reversed(_read(self._path).items()):
            if _still_runs(process):
                await _stop(process)
                stopped.append(name)
        self.clear()
        return stopped


def _read(path: Path) -> dict[str, RecordedProcess]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, RecordedProcess])
    except (FileNotFoundError, msgspec.DecodeError):
        return {}


def _still_runs(process: RecordedProcess) -> bool:
    try:
        found = psutil.Process(process.pid)
        is_same = abs(found.create_time() - process.start_time) < _SAME_START_SECONDS
        return is_same and found.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


async def _stop(process: RecordedProcess) -> None:
    try:
        os.kill(process.pid, process.stop_signal)
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await end_of(process.pid)
        except TimeoutError:
            os.kill(process.pid, signal.SIGKILL)
            async with asyncio.timeout(_STOP_SECONDS):
                await end_of(process.pid)
    except ProcessLookupError:
        return

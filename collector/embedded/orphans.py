"""Stops the processes that a killed `headrace up` left running, found by process id and start time.

They are recorded in a file of the data directory, which is written right after each child was started.
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
"""Start times are computed from the boot time, which shifts a little when the clock is set."""
_STOP_SECONDS: Final = 5.0


class RecordedProcess(msgspec.Struct, frozen=True):
    """A child: how to recognize it, and the signal that asks it to end."""

    pid: int
    start_time: float
    stop_signal: int


class ProcessRecord:
    """The children by name, in the order of their first start."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._processes: dict[str, RecordedProcess] = {}

    def note(self, name: str, child: Child) -> None:
        """Record a child in place of an older one of the same name."""
        try:
            start_time = psutil.Process(child.pid).create_time()
        except psutil.Error:  # it has already died
            return
        self._processes[name] = RecordedProcess(child.pid, start_time, int(child.stop_signal))
        write_private(self._path, msgspec.json.encode(self._processes))

    def clear(self) -> None:
        """Remove the record, once all children have ended."""
        self._processes = {}
        self._path.unlink(missing_ok=True)

    async def stop_orphans(self) -> list[str]:
        """Stop the processes of an earlier run, the last started first; returns their names."""
        try:
            recorded = msgspec.json.decode(self._path.read_bytes(), type=dict[str, RecordedProcess])
        except (FileNotFoundError, msgspec.DecodeError):
            recorded = {}
        stopped = []
        for name, process in reversed(recorded.items()):
            if _still_runs(process):
                await _stop(process)
                stopped.append(name)
        self.clear()
        return stopped


def _still_runs(process: RecordedProcess) -> bool:
    try:
        found = psutil.Process(process.pid)
        # Process ids are reused: only the start time tells whether it is the same process.
        is_same = abs(found.create_time() - process.start_time) < _SAME_START_SECONDS
        return is_same and found.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


async def _stop(process: RecordedProcess) -> None:
    try:
        # Ask it first; kill it if it takes too long.
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

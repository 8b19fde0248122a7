"""One child process: started with its own log, OS user and session, awaited, and stopped within a bound.

Its own session keeps Ctrl-C on the terminal from reaching it: only this process gets it, and stops its
children in order.
"""

import asyncio
import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from collector.embedded.logs import bound_log
from collector.embedded.servers.os_user import OsUser
from collector.process.lifecycle import StartError

_TAIL_BYTES: Final = 16_384
_HURRY_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Program:
    """What to run and how.

    `directory` is entered before root becomes `os_user`, so that this user needs no access to the folders
    above it: the server reaches its data as `/proc/self/cwd`.
    """

    arguments: tuple[str, ...]
    environ: Mapping[str, str]
    log: Path
    directory: Path | None = None
    os_user: OsUser | None = None
    stdin: bytes = b""
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 5.0
    hurry_signal: signal.Signals | None = None
    """Ends it immediately together with its own children, which SIGKILL could leave behind."""

    @property
    def stop_signals(self) -> tuple[tuple[signal.Signals, float], ...]:
        """The signals that ask it to end, the mildest first, each with the seconds to wait for its effect."""
        polite = self.stop_signal, self.stop_seconds
        return (polite,) if self.hurry_signal is None else (polite, (self.hurry_signal, _HURRY_SECONDS))


class Child:
    """A process that runs a program."""

    def __init__(self, program: Program, process: subprocess.Popen[bytes], log_start: int) -> None:
        self._program = program
        self._process = process
        self._log_start = log_start

    @classmethod
    def start(cls, program: Program) -> "Child":
        """Start the program. Raises StartError when the system refuses."""
        os_user: dict[str, Any] = {}
        if program.os_user is not None:
            ids = program.os_user
            os_user = {"user": ids.uid, "group": ids.gid, "extra_groups": []}
        try:
            program.log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            bound_log(program.log)
            with program.log.open("ab") as log:
                log_start = log.tell()
                process = subprocess.Popen(  # noqa: S603 - our own programs with our own arguments
                    program.arguments,
                    stdin=subprocess.PIPE if program.stdin else subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=program.directory,
                    env=dict(program.environ),
                    start_new_session=True,
                    **os_user,
                )
        except OSError as error:
            raise StartError(f"{program.arguments[0]} cannot be started: {error.strerror}.") from error
        # A program that ends without reading its input says why in its log.
        if process.stdin is not None:
            with suppress(BrokenPipeError), process.stdin as stdin:
                stdin.write(program.stdin)
        return cls(program, process, log_start)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def log(self) -> Path:
        """The file that holds its output."""
        return self._program.log

    @property
    def stop_signal(self) -> signal.Signals:
        """The signal that asks it to shut down in order."""
        return self._program.stop_signal

    async def wait(self) -> int:
        """Wait for its end and return the exit status; the negative of a signal that ended it."""
        if self._process.poll() is None:
            await end_of(self._process.pid)
        return self._process.wait()

    async def stop(self) -> None:
        """Ask it to end, and kill it when it takes too long.

        A cancellation of the caller takes effect only afterwards: `lifecycle.cancelled` cancels repeatedly,
        and the child must have its time all the same.
        """
        cancellations: list[asyncio.CancelledError] = []
        try:
            # Each signal has some time to take effect before the next one, which is harsher.
            for stop_signal, seconds in self._program.stop_signals:
                self._process.send_signal(stop_signal)
                if await self._ends_within(seconds, cancellations):
                    break
        finally:
            self._process.kill()  # does nothing to one that has ended
            self._process.wait()
        if cancellations:
            raise cancellations[0]

    async def _ends_within(self, seconds: float, cancellations: list[asyncio.CancelledError]) -> bool:
        """Whether it ends in time; cancellations meanwhile are collected, not raised."""
        until = asyncio.get_running_loop().time() + seconds
        while True:
            try:
                async with asyncio.timeout_at(until):
                    await self.wait()
            except TimeoutError:
                return False
            except asyncio.CancelledError as cancellation:
                cancellations.append(cancellation)
            else:
                return True

    def last_lines(self, count: int = 10) -> list[str]:
        """The last lines that it has written since its start."""
        with self.log.open("rb") as log:
            end = log.seek(0, os.SEEK_END)
            start = self._log_start if self._log_start <= end else 0  # rotation may have emptied the file
            log.seek(max(start, end - _TAIL_BYTES))
            return log.read().decode(errors="replace").splitlines()[-count:]


def ending(status: int) -> str:
    """An exit status in words."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"


async def end_of(pid: int) -> None:
    """Return when the process has ended; a child of ours still has to be reaped.

    Raises ProcessLookupError when there is no such process.
    """
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    # A pidfd becomes readable when its process ends, also one that is not a child of ours.
    descriptor = os.pidfd_open(pid)
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)

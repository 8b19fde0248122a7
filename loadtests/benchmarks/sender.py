"""Sends a benchmark's posts: with `wrk` if installed and the slice is long enough, else a built-in sender.

A sender is a separate process on the cores that are not measured. It posts the bodies of a file, one a
line, over connections that stay open, and ends with one line of JSON.
"""

import asyncio
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from loadtests.benchmarks.error import BenchmarkError
from loadtests.benchmarks.machine import pinned

CONNECTIONS: Final = 64
PATH: Final = "/api/v2/events"

_ROOT: Final = Path(__file__).parents[2]
_SCRIPT: Final = Path(__file__).with_name("wrk.lua")
_SPARE_SECONDS: Final = 20.0
_SHORTEST_WRK_SECONDS: Final = 1.0


class Sent(msgspec.Struct, frozen=True):
    """A sender's result. `failures` are answers other than 202, and broken connections."""

    posts: int
    seconds: float
    failures: int
    p50_ms: float
    p99_ms: float


class Sender:
    """Sends for a while, on the given cores."""

    def __init__(
        self, cores: frozenset[int], seconds: float, token: str, connections: int = CONNECTIONS
    ) -> None:
        self.connections = connections
        self._cores = cores
        self._token = token
        self._wrk = shutil.which("wrk") if seconds >= _SHORTEST_WRK_SECONDS else None
        self._seconds = float(round(seconds)) if self._wrk else seconds

    @property
    def description(self) -> str:
        """Which program it is and what it does."""
        name = "wrk, one thread" if self._wrk else "the built-in sender"
        return f"{name}, {self.connections} connections, slices of {self._seconds:g} s"

    def over(self, connections: int) -> "Sender":
        """The same one over another number of connections."""
        return Sender(self._cores, self._seconds, self._token, connections)

    async def send(self, port: int, bodies: Path) -> Sent:
        """Post as fast as the server answers. Raises BenchmarkError unless every answer is a 202."""
        sent = await self._run(self._command(port, bodies))
        if sent.failures or not sent.posts:
            raise BenchmarkError(
                f"{sent.failures} of {sent.posts} posts to port {port} were not answered 202."
            )
        return sent

    def _command(self, port: int, bodies: Path) -> Sequence[str]:
        if self._wrk is None:
            words = (str(port), str(self.connections), str(self._seconds), str(bodies), PATH, self._token)
            return (sys.executable, "-m", "loadtests.benchmarks.sending", *words)
        options = ("-t1", f"-c{self.connections}", f"-d{self._seconds:.0f}s", "-s", str(_SCRIPT))
        return (self._wrk, *options, f"http://127.0.0.1:{port}", "--", str(bodies), PATH, self._token)

    async def _run(self, command: Sequence[str]) -> Sent:
        with pinned(self._cores):
            process = await asyncio.create_subprocess_exec(
                *command,
                cwd=_ROOT,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches us alone, who end it below
            )
        try:
            async with asyncio.timeout(self._seconds + _SPARE_SECONDS):
                output, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        try:
            return msgspec.json.decode(output.rstrip().rpartition(b"\n")[2], type=Sent)
        except msgspec.DecodeError:
            said = output.decode(errors="replace")[-500:]
            raise BenchmarkError(f"{command[0]} ended without figures. It said: {said}") from None

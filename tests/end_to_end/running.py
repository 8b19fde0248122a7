"""A real `headrace up`, started and used as a person would."""

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import msgspec
import psutil

from collector.embedded.orphans import ProcessRecord
from collector.embedded.ready_file import ReadyFile
from tests.support.waiting import until

START_SECONDS = 120.0
STOP_SECONDS = 20.0
"""How long a stop may take, by docs/operating/install.md."""


class RunningUp:
    """One `headrace up` and its ready file."""

    def __init__(self, process: asyncio.subprocess.Process, directory: Path, output_path: Path) -> None:
        self.process = process
        self.directory = directory
        self.ready_path = directory / "ready.json"
        self.output_path = output_path

    @property
    def ready(self) -> ReadyFile:
        """The contents of the ready file."""
        return msgspec.json.decode(self.ready_path.read_bytes(), type=ReadyFile)

    @property
    def output(self) -> str:
        """The output so far, including errors."""
        return self.output_path.read_text()

    async def until_ready(self) -> None:
        """Return once the ready file exists; fail with the output if `up` ends before."""
        await until(lambda: self.ready_path.exists() or self.process.returncode is not None, START_SECONDS)
        assert self.process.returncode is None, self.output

    async def ended(self, seconds: float = STOP_SECONDS) -> int:
        """Wait for the end and return the exit status."""
        async with asyncio.timeout(seconds):
            return await self.process.wait()

    async def post(self, session: aiohttp.ClientSession, reference_id: str, message: str = "hello") -> int:
        """Post an event and return the status."""
        event = {"type": "log", "message": message, "reference_id": reference_id}
        headers = {"Authorization": f"Bearer {self.ready.client_token}"}
        async with session.post(f"{self.ready.url}/api/v2/events", json=event, headers=headers) as response:
            return response.status

    async def until_accepted(self, session: aiohttp.ClientSession, reference_id: str) -> None:
        """Post an event again while the answer is 503, as clients do."""

        async def is_accepted() -> bool:
            status = await self.post(session, reference_id)
            assert status in {202, 503}
            return status == 202

        await until(is_accepted, 30, f"202 for {reference_id}")

    async def find(self, session: aiohttp.ClientSession, reference_id: str) -> list[str]:
        """The reference ids of the events found by it; empty unless the answer is a list of events."""
        headers = {"Authorization": f"Bearer {self.ready.user_token}"}
        url = f"{self.ready.url}/api/v2/events/by-ref/{reference_id}"
        try:
            async with session.get(url, headers=headers) as response:
                if response.status != 200:
                    return []
                return [event["reference_id"] for event in await response.json()]
        except aiohttp.ClientError:
            return []

    async def until_found(self, session: aiohttp.ClientSession, reference_id: str) -> None:
        """Return once the event is stored, exactly once."""

        async def is_found() -> bool:
            return await self.find(session, reference_id) == [reference_id]

        await until(is_found, 30, f"the event {reference_id}")

    async def kill(self, kind: str) -> int:
        """Kill -9 the first process of a kind and return its id."""
        pid = self.ready.pids[kind][0]
        os.kill(pid, signal.SIGKILL)
        return pid

    async def until_replaced(self, kind: str, pid: int) -> None:
        """Return once the ready file names another process."""
        await until(lambda: pid not in self.ready.pids[kind], START_SECONDS, f"a new {kind}")


def all_pids(ready: ReadyFile) -> set[int]:
    """Every process that the ready file names."""
    return {pid for pids in ready.pids.values() for pid in pids}


def still_running(pids: set[int]) -> set[int]:
    """The running processes. Zombies do not count: no parent reaps the children of a killed process."""
    return {
        pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    }


@asynccontextmanager
async def started_up(
    directory: Path, *options: str, environ: Mapping[str, str] | None = None
) -> AsyncIterator[RunningUp]:
    """`headrace up` on a free port, stopped at the end if it still runs; not yet ready."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("HEADRACE_") and name not in {"REDIS_URL", "DATABASE_URL"}
    }
    with tempfile.NamedTemporaryFile(suffix=".out") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "collector.cli", "up", "--port", "0", "--data-dir", str(directory)),
            *options,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
            env={**inherited, **(environ or {})},
        )
        up = RunningUp(process, directory, Path(output.name))
        try:
            yield up
        finally:
            if process.returncode is None:
                process.terminate()
                await up.ended()
            if process.returncode == -signal.SIGKILL:  # a test that failed may have left its children
                await ProcessRecord(directory / "processes.json").stop_orphans()

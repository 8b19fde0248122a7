"""Runs an attacker in a process of its own, so that what the victim measures is the server's doing."""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

from loadtests.neighbours_run.attack import Counts, Orders
from loadtests.run import LoadError

_ROOT: Final = Path(__file__).parents[2]
_PREPARE_SECONDS: Final = 120.0
_END_SECONDS: Final = 10.0


class AttackerProcess:
    """An attacker that is prepared."""

    def __init__(self, process: Process, orders: asyncio.StreamWriter) -> None:
        self._process = process
        self._orders = orders

    def begin(self) -> None:
        """Attack from now on."""
        self._orders.write(b"begin\n")

    async def end(self) -> Counts:
        """End the attack and return what it did. Raises LoadError if it has failed."""
        try:
            async with asyncio.timeout(_END_SECONDS):
                written, _ = await self._process.communicate(b"end\n")
            return msgspec.json.decode(written, type=Counts)
        except (TimeoutError, msgspec.DecodeError):
            raise LoadError("the attacker failed; see above.") from None


@asynccontextmanager
async def started_attacker(orders: Orders) -> AsyncIterator[AttackerProcess]:
    """Start the attacker and wait until it is prepared; end it after the block. Raises LoadError."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "loadtests.neighbours_run.attacking"),
        cwd=_ROOT,
        stdin=PIPE,
        stdout=PIPE,
        start_new_session=True,
    )
    if process.stdin is None or process.stdout is None:
        raise TypeError("the attacker's process has no pipes")
    try:
        process.stdin.write(msgspec.json.encode(orders) + b"\n")
        try:
            async with asyncio.timeout(_PREPARE_SECONDS):
                said = await process.stdout.readline()
        except TimeoutError:
            raise LoadError("the attacker could not prepare in time.") from None
        if not said:
            raise LoadError("the attacker could not prepare; see above.")
        yield AttackerProcess(process, process.stdin)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()

"""The process of an attacker, which takes no processor time from the victim or, if it can, from the server.

It reads its orders from the first line of its input, prepares, writes a line, waits for a second line, and
attacks until a third or the end of its input, as when its parent has died. Then it writes its counts.
"""

import asyncio
import os
import resource
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
import uvloop

from loadtests.neighbours_run import attackers, strangers  # noqa: F401 - registers the attackers
from loadtests.neighbours_run.attack import ATTACKERS, Attack, Counts, Orders

_NICE: Final = 19


async def main() -> None:
    """Follow the orders."""
    read = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(read), sys.stdin.buffer
    )
    orders = msgspec.json.decode(await read.readline(), type=Orders)
    _stand_back(orders.cores)
    attack, entry = Attack(orders), ATTACKERS[orders.name]
    if entry.prepare is not None:
        await entry.prepare(attack)
    _say(b"prepared")
    await read.readline()
    attack.counts = Counts()
    async with asyncio.TaskGroup() as tasks:
        attacking = tasks.create_task(entry.run(attack))
        await read.readline()
        attacking.cancel()
    _say(msgspec.json.encode(attack.counts))


def _say(line: bytes) -> None:
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()


def _stand_back(cores: frozenset[int]) -> None:
    """Run on these cores; without any, only while nothing else of this machine wants one."""
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))
    if cores:
        os.sched_setaffinity(0, cores)
        return
    os.nice(_NICE)
    # Where the kernel shares the processor between sessions first, this one steps back, if it is ours alone.
    if os.getsid(0) == os.getpid():
        with suppress(OSError):
            Path("/proc/self/autogroup").write_text(str(_NICE), encoding="ascii")


if __name__ == "__main__":
    uvloop.run(main())

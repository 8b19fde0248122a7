"""Logs of the children, bounded while these run: of each the newest lines and a few older files.

A child holds its log open and goes on writing where the file ends. So a log that has grown large is copied
and then emptied, Valkey's and Postgres's, too, and nothing stands between a child and its file that could die
with us. What is written between the two steps, within microseconds, is in neither file.
"""

import asyncio
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Final

LIMIT_BYTES: Final = 10_000_000
"""Of one file: what is older than that is cut off when it is put aside."""
OLDER_FILES: Final = 2
_PAUSE_SECONDS: Final = 1.0


async def bound_logs(directory: Path) -> None:
    """Look at every log of the directory again and again, until cancelled."""
    while True:
        await asyncio.to_thread(bound_all, directory)
        await asyncio.sleep(_PAUSE_SECONDS)


def bound_all(directory: Path) -> None:
    """Look once."""
    for log in directory.glob("*.log"):
        bound_log(log)


def bound_log(log: Path) -> None:
    """Put aside what a log holds when that has grown large; where the disk is full it is only emptied."""
    with suppress(FileNotFoundError):
        if log.stat().st_size <= LIMIT_BYTES:
            return
        with suppress(OSError):
            _put_aside(log)
        os.truncate(log, 0)


def _put_aside(log: Path) -> None:
    older = [log.with_suffix(f".log.{number}") for number in range(1, OLDER_FILES + 1)]
    older[-1].unlink(missing_ok=True)
    for newer, place in zip(reversed(older[:-1]), reversed(older[1:]), strict=True):
        with suppress(FileNotFoundError):
            newer.replace(place)
    try:
        with log.open("rb") as source, older[0].open("xb") as copy:
            os.fchmod(copy.fileno(), 0o600)
            source.seek(max(0, log.stat().st_size - LIMIT_BYTES))
            shutil.copyfileobj(source, copy, 1 << 20)
    except OSError:
        older[0].unlink(missing_ok=True)
        raise

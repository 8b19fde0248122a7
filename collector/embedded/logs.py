"""Rotates the children's logs while they run: keeps the newest lines of each and a few older files.

A child holds its log open in append mode, so a large log is copied and then truncated. That works for Valkey
and Postgres too, and puts no pipe between a child and its file that would break when this process dies.
Lines written between the two steps, within microseconds, are lost.
"""

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

LIMIT_BYTES: Final = 10_000_000
"""Of one file; a rotation keeps the newest part of a log that is larger."""
OLDER_FILES: Final = 2
_PAUSE_SECONDS: Final = 1.0


async def bound_logs(directory: Path) -> None:
    """Rotate the large logs of the directory, every second until cancelled."""
    while True:
        await asyncio.to_thread(bound_all, directory)
        await asyncio.sleep(_PAUSE_SECONDS)


def bound_all(directory: Path) -> None:
    """Rotate the large logs of the directory once."""
    for log in directory.glob("*.log"):
        bound_log(log)


def bound_log(log: Path) -> None:
    """Rotate the log if it is large; on a full disk it is only truncated."""
    with suppress(FileNotFoundError):
        if log.stat().st_size <= LIMIT_BYTES:
            return
        # Truncate even if the copy fails: on a full disk that is what frees space.
        with suppress(OSError):
            _copy_to_older(log)
        os.truncate(log, 0)


def _copy_to_older(log: Path) -> None:
    older = [log.with_suffix(f".log.{number}") for number in range(1, OLDER_FILES + 1)]
    # The oldest file goes, and the others move up by one.
    older[-1].unlink(missing_ok=True)
    for newer, target in zip(reversed(older[:-1]), reversed(older[1:]), strict=True):
        with suppress(FileNotFoundError):
            newer.replace(target)
    try:
        with log.open("rb") as source, older[0].open("xb") as copy:
            os.fchmod(copy.fileno(), 0o600)
            source.seek(max(0, log.stat().st_size - LIMIT_BYTES))
            # No more, even if the child writes as fast as we copy.
            copy.write(source.read(LIMIT_BYTES))
    except OSError:
        older[0].unlink(missing_ok=True)
        raise

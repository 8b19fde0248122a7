"""The data directory of `headrace up`: holds everything that outlives a run; one run at a time locks it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from collector.embedded.private_files import CHOOSE_DIRECTORY, make_private_directory
from collector.process.lifecycle import StartError


@contextmanager
def locked_directory(path: Path) -> Iterator[Path]:
    """Create the directory if missing, lock it until the block or the process ends, yield the absolute path.

    Raises StartError when another `headrace up` holds the lock, or the directory cannot be written.
    """
    path = path.expanduser().absolute()
    make_private_directory(path)
    with (path / "lock").open("a+", encoding="ascii") as lock:
        try:
            # The kernel releases the lock when the process ends, however it ends.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            owner = lock.read().strip() or "unknown"
            raise StartError(
                f"{path} is in use by another `headrace up` (process {owner}); stop it, or choose another "
                f"directory: {CHOOSE_DIRECTORY}."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield path

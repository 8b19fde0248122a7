"""The data directory of `headrace up`: one `up` at a time uses it, and it holds all that outlives one."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from collector.embedded.private_files import CHOOSE_DIRECTORY, make_private_directory
from collector.process.lifecycle import StartError


@contextmanager
def locked_directory(path: Path) -> Iterator[Path]:
    """The directory's absolute path, made where it is missing, ours until the block ends or we die.

    Raises StartError when another `headrace up` has it, or when it cannot be written.
    """
    path = path.expanduser().absolute()
    make_private_directory(path)
    with (path / "lock").open("a+", encoding="ascii") as lock:
        try:
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

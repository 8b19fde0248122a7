"""Files and directories that only their owner reads: written whole by rename, never half."""

import os
import tempfile
from pathlib import Path
from typing import Final

from collector.embedded.servers.os_user import OsUser
from collector.process.lifecycle import StartError

CHOOSE_DIRECTORY: Final = "`DATA_DIR=... make up` or `headrace up --data-dir ...`"
"""How a person names one."""


def write_private(path: Path, content: bytes, account: OsUser | None = None) -> None:
    """Put `content` into `path` (mode 0600, of `account`), whole: no reader sees a half."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            _give(descriptor, account)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def make_private_directory(path: Path, account: OsUser | None = None) -> None:
    """Make `path` (mode 0700, of `account`) where it is missing.

    Raises StartError when that cannot be done, or when somebody else's directory is in the way.
    """
    try:
        if not path.exists():
            path.mkdir(mode=0o700, parents=True)
            _give(path, account)
        if not path.is_dir() or not os.access(path, os.R_OK | os.W_OK | os.X_OK):
            raise StartError(
                f"{path} is no directory that this user may write; choose another: {CHOOSE_DIRECTORY}."
            )
    except OSError as error:
        raise StartError(
            f"{path} cannot be made: {error.strerror}; choose another: {CHOOSE_DIRECTORY}."
        ) from error


def _give(target: Path | int, account: OsUser | None) -> None:
    if account is not None:
        os.chown(target, account.uid, account.gid)

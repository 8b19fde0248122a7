"""Files and directories that only their owner can read; files are replaced atomically, by rename."""

import os
import tempfile
from pathlib import Path
from typing import Final

from collector.embedded.servers.os_user import OsUser
from collector.process.lifecycle import StartError

CHOOSE_DIRECTORY: Final = "`DATA_DIR=... make up` or `headrace up --data-dir ...`"
"""How users choose another data directory, for error messages."""


def write_private(path: Path, content: bytes, os_user: OsUser | None = None) -> None:
    """Write `content` to `path` atomically, with mode 0600 and owned by `os_user`."""
    # In the same folder, because a rename is atomic within one file system only.
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            _change_owner(descriptor, os_user)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def make_private_directory(path: Path, os_user: OsUser | None = None) -> None:
    """Create the directory, if missing, with mode 0700 and owned by `os_user`.

    Raises StartError when it cannot be created, or exists and this user cannot write to it.
    """
    try:
        if not path.exists():
            path.mkdir(mode=0o700, parents=True)
            _change_owner(path, os_user)
        if not path.is_dir() or not os.access(path, os.R_OK | os.W_OK | os.X_OK):
            raise StartError(
                f"{path} is not a directory that this user can write to; choose another: {CHOOSE_DIRECTORY}."
            )
    except OSError as error:
        raise StartError(
            f"{path} cannot be created: {error.strerror}; choose another: {CHOOSE_DIRECTORY}."
        ) from error


def _change_owner(target: Path | int, os_user: OsUser | None) -> None:
    if os_user is not None:
        os.chown(target, os_user.uid, os_user.gid)

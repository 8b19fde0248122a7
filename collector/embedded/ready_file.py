"""The ready file: everything that another program needs to use a running `headrace up`; mode 0600."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from collector.embedded.private_files import write_private
from collector.process.lifecycle import StartError


class ReadyFile(msgspec.Struct, frozen=True, kw_only=True):
    """Its content. `user_token` is a login token; servers not started by `up` have no process ids."""

    url: str
    email: str
    password: str
    user_token: str
    client_token: str
    organization_id: str
    project_id: str
    redis_url: str
    database_url: str
    pids: Mapping[str, Sequence[int]]

    def write(self, path: Path) -> None:
        """Write it to `path`, replacing an older one atomically."""
        write_private(path, msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n")


def read_ready_file(path: Path) -> ReadyFile | None:
    """Read the ready file of a running `headrace up`; None if there is none. Raises StartError."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=ReadyFile)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StartError(f"{path} cannot be read: {error.strerror}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise StartError(f"{path} is not a ready file of `headrace up`.") from None


def clear_ready_file(path: Path) -> None:
    """Remove the ready file of an earlier run. Raises StartError if a new one could not be written there."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StartError(f"{path} cannot be removed: {error.strerror}; see --ready-file.") from error
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise StartError(f"{path} cannot be written by this user; see --ready-file.")

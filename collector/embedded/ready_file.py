"""The ready file: all that another program needs to use a running `headrace up`, written whole, mode 0600."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from collector.embedded.private_files import write_private
from collector.process.lifecycle import StartError


class ReadyFile(msgspec.Struct, frozen=True, kw_only=True):
    """What it holds. `user_token` is a login token; given servers have no process ids."""

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
        """Put it in place of an older one."""
        write_private(path, msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n")


def read_ready_file(path: Path) -> ReadyFile | None:
    """What a running `headrace up` wrote there; None when none runs. Raises StartError."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=ReadyFile)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StartError(f"{path} cannot be read: {error.strerror}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise StartError(f"{path} is no ready file of `headrace up`.") from None


def clear_ready_file(path: Path) -> None:
    """Remove an older run's. Raises StartError when none could be written there either."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StartError(f"{path} cannot be removed: {error.strerror}; see --ready-file.") from error
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise StartError(f"{path} cannot be written by this user; see --ready-file.")

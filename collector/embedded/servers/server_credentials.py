"""How an embedded server is reached: a port and a password, made once and kept beside its data."""

import secrets
from pathlib import Path

import msgspec

from collector.embedded.private_files import write_private
from collector.embedded.servers.ports import free_port, is_free
from collector.process.lifecycle import StartError


class Access(msgspec.Struct, frozen=True):
    """A port of the loopback interface and the password that the server asks for."""

    port: int
    password: str


def kept_access(path: Path) -> Access:
    """What is kept in `path`, made where it is missing.

    A port that another program took while the server was down is replaced; a running server's stays.
    """
    kept = _read(path)
    if kept is not None and is_free(kept.port):
        return kept
    access = Access(free_port(), kept.password if kept else secrets.token_urlsafe(24))
    write_private(path, msgspec.json.encode(access))
    return access


def _read(path: Path) -> Access | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Access)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise StartError(f"{path} cannot be read: {error}.") from error

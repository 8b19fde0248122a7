"""The port and password of an embedded server: created once and kept next to its data."""

import secrets
from pathlib import Path

import msgspec

from collector.embedded.private_files import write_private
from collector.embedded.servers.ports import free_port, is_free
from collector.process.lifecycle import StartError


class ServerCredentials(msgspec.Struct, frozen=True, omit_defaults=True):
    """The server's port on the loopback interface, and its password.

    `superuser` is the role that a Postgres cluster belongs to, empty if it may be the application's own.
    """

    port: int
    password: str
    superuser: str = ""


def load_server_credentials(path: Path) -> ServerCredentials:
    """Read the credentials from `path`; create them if the file is missing. Raises StartError.

    The port is replaced if another program has taken it while the server was down.
    """
    kept: ServerCredentials | None = None
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=ServerCredentials)
    except FileNotFoundError:
        pass
    except (OSError, msgspec.DecodeError) as error:
        raise StartError(f"{path} cannot be read: {error}.") from error
    # Keep them, give them another port, or create the first ones.
    if kept is not None and is_free(kept.port):
        return kept
    if kept is not None:
        created = msgspec.structs.replace(kept, port=free_port())
    else:
        created = ServerCredentials(free_port(), secrets.token_urlsafe(24))
    save_server_credentials(path, created)
    return created


def save_server_credentials(path: Path, credentials: ServerCredentials) -> None:
    """Write the credentials to `path`, readable by this user only."""
    write_private(path, msgspec.json.encode(credentials))

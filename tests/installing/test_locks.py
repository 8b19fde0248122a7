"""The lock files are complete on each Python, so that an installation looks nothing up."""

import os
import re
import shutil
import subprocess
import venv
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Final

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.installing.locks import EXTRAS, FOLDER, INSTALL, ROOT, asked_for, asked_for_to_build, pins
from tests.installing.wheels import write_wheel

PYTHONS: Final = ("3.11.0", "3.11.3", "3.12.0", "3.13.0", "3.14.0")
"""Some packages have requirements that end with 3.11.3."""
WITH_EXTRA: Final = 'faster; extra == "fast"'
SOURCES: Final = ("Makefile", "Dockerfile", ".ci/*", ".github/**/*", "tests/**/*.py", "loadtests/**/*.py")


@pytest.mark.parametrize("lock", EXTRAS)
@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_a_lock_contains_all_requirements_of_its_packages(lock: str, python: str, machine: str) -> None:
    """On every supported Python, with extras, so that nothing is missing."""
    environment = {
        **{name: str(value) for name, value in default_environment().items()},
        "python_full_version": python,
        "python_version": python.rpartition(".")[0],
        "implementation_version": python,
        "platform_machine": machine,
    }
    locked = {p.name: p.version for p in pins(lock) if p.marker is None or p.marker.evaluate(environment)}
    assert locked

    asked = [*asked_for(*EXTRAS[lock]), *asked_for_to_build()]
    missing = [
        f"{each} of {origin}"
        for origin, each in _everything_asked(asked, environment)
        if canonicalize_name(each.name) not in locked
        or not each.specifier.contains(locked[canonicalize_name(each.name)], prereleases=True)
    ]

    assert not missing


def test_one_package_has_one_version_in_all_locks() -> None:
    """So tests use the versions that run in production."""
    tested = set(pins("dev.txt"))

    assert {pin for lock in EXTRAS for pin in pins(lock)} == tested


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the pip of this Python, to be copied."""
    folder = tmp_path_factory.mktemp("fresh") / "venv"
    venv.create(folder, with_pip=True)
    return folder


def test_a_newer_release_changes_nothing(tmp_path: Path, fresh: Path) -> None:
    """With the pip of this Python; `python -m tests.installing.trial locks` also uses old ones."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    lock = tmp_path / "lock.txt"
    lock.write_text(
        f"asks==1.0 --hash=sha256:{write_wheel(wheels, 'asks', '1.0', ['asked[fast]>=1'])}\n"
        f"asked==1.0 --hash=sha256:{write_wheel(wheels, 'asked', '1.0', [WITH_EXTRA])}\n"
        f"faster==1.0 --hash=sha256:{write_wheel(wheels, 'faster', '1.0')}\n"
    )
    for name in ("asks", "asked", "faster"):
        write_wheel(wheels, name)

    done, installed = _installed(lock, wheels, fresh)

    assert done.returncode == 0, done.stderr
    assert {name: installed[name] for name in ("asks", "asked", "faster")} == {
        "asks": "1.0", "asked": "1.0", "faster": "1.0",
    }  # fmt: skip


def test_an_incomplete_lock_is_refused_with_the_missing_package(tmp_path: Path, fresh: Path) -> None:
    """The gap is not filled from the index."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    lock = tmp_path / "lock.txt"
    lock.write_text(f"asks==1.0 --hash=sha256:{write_wheel(wheels, 'asks', '1.0', ['asked>=1'])}\n")
    write_wheel(wheels, "asked")

    done, installed = _installed(lock, wheels, fresh)

    assert done.returncode == 1
    assert "asks 1.0 requires asked, which is not installed." in done.stderr
    assert "asked" not in installed


def test_there_is_only_one_way_to_install() -> None:
    """Another call of pip could look packages up."""
    files = {path for pattern in SOURCES for path in ROOT.glob(pattern) if path.is_file()}
    files -= {path for path in files if "node_modules" in path.parts or path.parent == Path(__file__).parent}
    assert ROOT / "Dockerfile" in files

    calls = re.compile(r"\bpip\d?\b\W+(?:install|download|wheel)\b|\$\(PIP\)")
    assert [path for path in sorted(files) if calls.search(path.read_text())] == []


def _everything_asked(
    asked: list[Requirement], environment: Mapping[str, str]
) -> Iterator[tuple[str, Requirement]]:
    """Each requirement that applies there, with the package that asks for it, recursively."""
    waiting = [("pyproject.toml", requirement, "") for requirement in asked]
    seen = set()
    while waiting:
        origin, requirement, extra = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({**environment, "extra": extra}):
            continue
        yield origin, requirement
        for wanted in ("", *requirement.extras):
            name = canonicalize_name(requirement.name)
            if (name, wanted) in seen:
                continue
            seen.add((name, wanted))
            waiting += [(name, Requirement(text), wanted) for text in _asked_by(name)]


@cache
def _asked_by(name: str) -> list[str]:
    try:
        return metadata.requires(name) or []
    except metadata.PackageNotFoundError:  # needed on another Python only
        return []


def _installed(
    lock: Path, wheels: Path, fresh: Path
) -> tuple[subprocess.CompletedProcess[str], dict[str, str]]:
    home = shutil.copytree(fresh, lock.parent / "venv", symlinks=True)
    kept = {name: text for name, text in os.environ.items() if not name.startswith("PIP_")}
    settings = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)}
    done = subprocess.run(  # noqa: S603 - our own words
        ["sh", INSTALL, home / "bin" / "python", lock],  # noqa: S607 - whichever shell there is
        env=kept | settings, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    [packages] = (home / "lib").glob("*/site-packages")
    return done, {
        canonicalize_name(found.name): found.version
        for found in metadata.Distribution.discover(path=[str(packages)])
    }


def test_every_lock_of_the_repository_is_known_here() -> None:
    """The other one is for Node, which has no requirements."""
    assert {path.name for path in FOLDER.glob("*.txt")} == {*EXTRAS, "node.txt", "deploy.txt"}

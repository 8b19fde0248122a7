"""Installations for real, from the index that pip is set up for: `python -m tests.installing.trial`.

`locks` sets up a clone with old pips, next to made-up newer releases of everything; it fails unless exactly
the locked ones get installed.
`lowest` and `newest` install the lowest and newest versions that `pyproject.toml` allows, and run tests.
"""

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Final

import typer
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.installing.locks import EXTRAS, FOLDER, INSTALL, ROOT, asked_for, pins
from tests.installing.tree import copy, copy_of_the_tree
from tests.installing.wheels import NEWER, write_wheel

OLD_PIPS: Final = ("22.3", "23.2.1")
"""Those of Python 3.11.0 and 3.11.7."""
OURS: Final = "headrace"
TESTS: Final = ("domain", "http", "broker", "ingest", "database", "worker", "api")
"""Where every library that the service uses is at work."""
LIMIT_SECONDS: Final = 3600

app = typer.Typer(help=__doc__, no_args_is_help=True)


@app.command()
def locks(pip: Annotated[list[str] | None, typer.Option(help="Versions of pip to try.")] = None) -> None:
    """Install every lock as make, the image and the clients' Node do, with each pip."""
    with tempfile.TemporaryDirectory() as folder:
        newer = Path(folder, "newer")
        newer.mkdir()
        for name in {pin.name for lock in (*EXTRAS, "node.txt") for pin in pins(lock)}:
            write_wheel(newer, name)
        for version in pip or OLD_PIPS:
            _try_pip(version, Path(folder, version), newer)


def _try_pip(version: str, folder: Path, newer: Path) -> None:
    with_newer = {"PIP_FIND_LINKS": f"{os.environ.get('PIP_FIND_LINKS', '')} {newer}"}
    tree = copy_of_the_tree(folder / "tree")
    python = _environment(tree / ".venv", version)
    _run(python, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, "rich", env=with_newer)
    if not list(folder.glob(f"rich-{NEWER}-*")):
        sys.exit("pip does not see the newer releases: this shows nothing")

    _run("make", ".venv/.up", cwd=tree, env=with_newer)
    _compare(python, "up.txt", version)
    _run("make", ".venv/.dev", cwd=tree, env=with_newer)
    _compare(python, "dev.txt", version)

    for_node = _environment(folder / "node", version)
    _run("sh", INSTALL, for_node, FOLDER / "node.txt", env=with_newer)
    _compare(for_node, "node.txt", version)

    image = folder / "image"
    of_image = image / "bin" / "python"
    for command in _image_commands(image, folder / "src"):
        if "uninstall" in command:
            _compare(of_image, "service.txt", version)
        _run("bash", "-euc", command, cwd=folder / "src", env=with_newer)
        if "-m venv" in command:
            _run(of_image, "-m", "pip", "install", "--quiet", f"pip=={version}")
    _run(of_image, "-c", "import collector.cli, worker.process")


def _image_commands(image: Path, source: Path) -> Iterator[str]:
    """The build commands of the Dockerfile, with the folders of this machine; its COPY is done here."""
    source.mkdir()
    stage = (ROOT / "Dockerfile").read_text().split("\nFROM ")[1].replace("\\\n", " ")
    for line in stage.splitlines():
        what, _, rest = line.partition(" ")
        words = rest.split()
        if what == "COPY":
            for copied in words[:-1]:
                copy(ROOT / copied, source / (copied if words[-1].endswith("/") else words[-1]))
        elif what == "RUN":
            yield re.sub("^python ", f"{sys.executable} ", rest).replace("/opt/headrace", str(image))


def _compare(python: Path, lock: str, pip: str) -> None:
    """Exit if an installation differs from its lock in any way; pip itself may be older."""
    listed = json.loads(_said(python, "-m", "pip", "list", "--format=json", "--disable-pip-version-check"))
    installed: dict[str, str] = {canonicalize_name(each["name"]): each["version"] for each in listed}
    locked: dict[str, str] = {
        pin.name: pin.version for pin in pins(lock) if pin.marker is None or pin.marker.evaluate()
    }
    brought: set[str] = {OURS, "pip", "setuptools"} - locked.keys()
    differing = {
        name: (locked.get(name), installed.get(name))
        for name in (locked.keys() | installed.keys()) - brought
        if locked.get(name) != installed.get(name)
    }
    if differing:
        sys.exit(f"{lock} with pip {pip}: locked and installed differ: {differing}")
    typer.echo(f"{lock} with pip {pip}: {len(locked)} packages, as locked")


@app.command()
def lowest(tests: Annotated[list[str] | None, typer.Argument()] = None) -> None:
    """Run tests with the lowest versions that `pyproject.toml` allows."""
    _run_with([_lowest(requirement) for requirement in asked_for(*EXTRAS["dev.txt"])], tests)


@app.command()
def newest(tests: Annotated[list[str] | None, typer.Argument()] = None) -> None:
    """Run tests with the newest versions that `pyproject.toml` allows, and say which are not those locked."""
    _run_with([str(requirement) for requirement in asked_for(*EXTRAS["dev.txt"])], tests)


def _lowest(requirement: Requirement) -> str:
    [version] = [each.version for each in requirement.specifier if each.operator == ">="]
    extras = f"[{','.join(requirement.extras)}]" if requirement.extras else ""
    marker = f" ; {requirement.marker}" if requirement.marker else ""
    return f"{requirement.name}{extras}=={version}{marker}"


def _run_with(requirements: list[str], tests: list[str] | None) -> None:
    """Run them in a separate environment and copy; the exit status is that of the tests."""
    with tempfile.TemporaryDirectory() as folder:
        tree = copy_of_the_tree(Path(folder, "tree"))
        python = _environment(Path(folder, "venv"))
        _run(python, "-m", "pip", "install", "--quiet", *requirements)
        _run(python, "-m", "pip", "install", "--quiet", "--no-deps", tree)
        locked: dict[str, str] = {pin.name: pin.version for pin in pins("dev.txt")}
        for each in json.loads(_said(python, "-m", "pip", "list", "--format=json")):
            name, version = canonicalize_name(each["name"]), each["version"]
            if name in _asked_directly() and locked.get(name) != version:
                typer.echo(f"{name} {version} (locked: {locked.get(name)})")
        sys.stdout.flush()
        _run(python, "-m", "pytest", "-q", *(tests or [f"tests/{name}" for name in TESTS]), cwd=tree)


def _asked_directly() -> set[str]:
    """The names of the requirements in `pyproject.toml`."""
    return {canonicalize_name(requirement.name) for requirement in asked_for(*EXTRAS["dev.txt"])}


def _environment(folder: Path, pip: str = "") -> Path:
    _run(sys.executable, "-m", "venv", folder)
    python = folder / "bin" / "python"
    if pip:
        _run(python, "-m", "pip", "install", "--quiet", f"pip=={pip}")
    return python


def _run(*command: str | Path, cwd: Path = ROOT, env: Mapping[str, str] | None = None) -> None:
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **(env or {})}
    done = subprocess.run(command, cwd=cwd, env=environment, timeout=LIMIT_SECONDS, check=False)  # noqa: S603 - ours
    if done.returncode:
        sys.exit(f"exit status {done.returncode}: {shlex.join(map(str, command))}")


def _said(*command: str | Path) -> str:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout  # noqa: S603 - ours


if __name__ == "__main__":
    app()

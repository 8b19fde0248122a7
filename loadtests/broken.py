"""`make broken-builds`: shows that the crash tests find builds which break a promise on purpose.

Each patch in `broken_builds/` breaks the product in one way, and its head names the faults that must show it
and what the report must then say. The patch is applied to a copy of the sources, against which the crash test
runs. Exit status 1 if a broken build passes, or fails for another reason.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
PATCHES: Final = ROOT / "loadtests" / "broken_builds"

_SOURCES: Final = ("collector", "worker", "loadtests")
_RUN_SECONDS: Final = 300
_FOUND: Final = 1
"""The exit status of a crash test that found something."""


@dataclass(frozen=True, slots=True)
class BrokenBuild:
    """A patch, what it breaks, the faults that show it, and a pattern for the line of the report."""

    path: Path
    what: str
    faults: Sequence[str]
    finds: str

    @property
    def name(self) -> str:
        """The file's name without its suffix."""
        return self.path.stem


def main() -> int:
    """Return the exit status: 0 if every broken build was found."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.broken", description=__doc__)
    parser.add_argument("--only", action="append", help="the name of a patch; may be repeated (all)")
    only = parser.parse_args().only
    missed = [
        build.name for build in broken_builds() if build.name in (only or build.name) and not _is_found(build)
    ]
    print(f"passed, although broken: {', '.join(missed)}" if missed else "every broken build was found")
    return int(bool(missed))


def broken_builds() -> list[BrokenBuild]:
    """All patches, by name."""
    return [_parsed(path) for path in sorted(PATCHES.glob("*.patch"))]


def apply(build: BrokenBuild, folder: Path) -> Path:
    """Copy the sources into the folder and break them.

    Raises CalledProcessError if the patch does not fit.
    """
    tree = folder / build.name
    for source in _SOURCES:
        shutil.copytree(ROOT / source, tree / source, ignore=shutil.ignore_patterns("__pycache__", "results"))
    # Outside any repository, otherwise git would skip files that are not of it.
    environ = {**os.environ, "GIT_CEILING_DIRECTORIES": str(folder)}
    subprocess.run(["git", "apply", str(build.path)], cwd=tree, env=environ, check=True)  # noqa: S603, S607 - our own patch
    return tree


def crash_test(build: BrokenBuild, tree: Path) -> subprocess.CompletedProcess[str]:
    """Run the build's faults against its sources."""
    faults = [word for fault in build.faults for word in ("--fault", fault)]
    return subprocess.run(  # noqa: S603 - our own sources
        [sys.executable, "-P", "-m", "loadtests.faults", "--midnight", "0", *faults],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        timeout=_RUN_SECONDS,
        check=False,
    )


def finds(build: BrokenBuild, result: subprocess.CompletedProcess[str]) -> bool:
    """Whether the crash test failed, with the finding that this build must cause."""
    return result.returncode == _FOUND and re.search(build.finds, result.stdout) is not None


def _is_found(build: BrokenBuild) -> bool:
    with tempfile.TemporaryDirectory(prefix="headrace-broken-", ignore_cleanup_errors=True) as folder:
        result = crash_test(build, apply(build, Path(folder)))
    is_found = finds(build, result)
    print(f"{build.name}: {'found' if is_found else 'NOT FOUND'}", flush=True)
    if not is_found:
        print(result.stdout + result.stderr)
    return is_found


def _parsed(path: Path) -> BrokenBuild:
    head = path.read_text().partition("diff --git")[0]
    return BrokenBuild(
        path,
        what=head.partition("\n")[0],
        faults=re.findall(r"^Fault: (.+)$", head, re.MULTILINE),
        finds=re.findall(r"^Finds: (.+)$", head, re.MULTILINE)[0],
    )


if __name__ == "__main__":
    sys.exit(main())

"""The programs that these tests need and that not every machine has."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
_SECONDS: Final = 120


def tool(name: str) -> str:
    """The program's path. Skips the test where it is missing, and says so; in CI it must be there."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if path is None:
        missing = f"{name} is not installed; `make deploy-check` installs what PyPI has"
        assert not os.environ.get("CI"), missing
        pytest.skip(missing)
    return path


def run(*command: str, **environ: str) -> str:
    """Run a program in the repository's root and return its output; fails the test when it fails."""
    done = subprocess.run(  # noqa: S603 - our own words
        command,
        cwd=ROOT,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr

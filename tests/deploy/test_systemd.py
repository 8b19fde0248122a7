"""The systemd units: understood by systemd, hardened, and with settings that exist."""

import os
import re
import subprocess
from pathlib import Path
from typing import Final

import pytest

from collector.process.known_settings import unknown_variables
from tests.deploy.tools import ROOT, tool

FOLDER: Final = ROOT / "deploy/systemd"
SERVICES: Final = sorted(path.name for path in FOLDER.glob("*.service"))
EXPOSURE_TENTHS: Final = 13
"""A bound on what `systemd-analyze security` calls exposure: from 0 to 100, tenths of its figure."""


@pytest.fixture(scope="module")
def units(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The units with a program that this machine has."""
    folder = tmp_path_factory.mktemp("units")
    for path in FOLDER.iterdir():
        text = path.read_text()
        assert path.suffix == ".target" or "ExecStart=/opt/headrace/bin/headrace " in text
        (folder / path.name).write_text(text.replace("/opt/headrace/bin/headrace", "/usr/bin/env"))
    return folder


def _analyze(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own words
        [tool("systemd-analyze"), *arguments],
        cwd=folder,
        env={**os.environ, "SYSTEMD_COLORS": "0"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_systemd_understands_every_unit(units: Path) -> None:
    """Without a warning about one of ours."""
    done = _analyze(units, "verify", *(f"./{path.name}" for path in units.iterdir()))

    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if "headrace" in line] == []


@pytest.mark.parametrize("name", SERVICES)
def test_a_unit_is_hardened(units: Path, name: str) -> None:
    done = _analyze(units, "security", "--offline=true", f"--threshold={EXPOSURE_TENTHS}", f"./{name}")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Overall exposure level" in done.stdout


@pytest.mark.parametrize("name", SERVICES)
def test_a_units_variables_are_settings_and_its_secrets_credentials(name: str) -> None:
    text = (FOLDER / name).read_text()
    variables = dict(re.findall(r"^Environment=(\w+)=(.*)$", text, re.MULTILINE))
    credentials = set(re.findall(r"^LoadCredential=(\w+):/etc/headrace/\1$", text, re.MULTILINE))

    assert unknown_variables(variables) == []
    secrets = {text.removeprefix("%d/") for variable, text in variables.items() if variable.endswith("_FILE")}
    assert secrets == credentials
    assert ("database_url" in credentials) == ("ingest" not in name)


def test_the_target_starts_every_service() -> None:
    [wanted] = re.findall(r"^Wants=(.*)$", (FOLDER / "headrace.target").read_text(), re.MULTILINE)

    assert sorted(wanted.split()) == SERVICES

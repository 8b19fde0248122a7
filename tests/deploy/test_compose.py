"""compose.yaml: what it says is valid, bounded, and starts."""

import asyncio
import re
import stat
import tomllib
from pathlib import Path

import pytest
import yaml

from collector.process.known_settings import unknown_variables
from tests.deploy.composed import COMPOSE, OURS, SERVICES, Composed, composed, stopped
from tests.deploy.tools import ROOT, run, tool

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_the_files_follow_the_specification() -> None:
    run(
        tool("check-jsonschema"),
        "--builtin-schema",
        "vendor.compose-spec",
        "compose.yaml",
        "compose.load.yaml",
    )


def test_the_image_is_that_of_this_version() -> None:
    """Its default, and what `docker compose build` writes on it."""
    text = (ROOT / "compose.yaml").read_text()

    assert f"ghcr.io/headrace/headrace:{VERSION}" in text
    assert COMPOSE["x-headrace"]["build"]["args"]["VERSION"] == VERSION


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_service_has_bounds(name: str) -> None:
    """Memory, logs and capabilities; what runs on is checked and started again."""
    service = SERVICES[name]

    assert service["logging"]["options"]["max-size"]
    if name != "migrate":
        assert service["deploy"]["resources"]["limits"]["memory"]
        assert service["restart"] == "unless-stopped"
    if name in OURS:
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        # The image itself has the check of ours.
        assert name == "migrate" or "healthcheck" not in service
    else:
        assert service["healthcheck"]["test"]


def test_every_variable_is_a_setting_and_every_secret_a_file() -> None:
    for name in OURS:
        environ = SERVICES[name]["environment"]
        assert unknown_variables(environ) == []
        for variable, text in environ.items():
            if "URL" in variable:
                assert variable.endswith("_FILE")
                assert text.removeprefix("/run/secrets/") in SERVICES[name]["secrets"]


def test_secrets_are_made_once_and_differ(tmp_path: Path) -> None:
    """Only their owner enters the directory."""
    for name in ("one", "two", "one"):
        run("/bin/sh", "deploy/compose/secrets.sh", str(tmp_path / name))

    one, two = ((tmp_path / name / "redis_url").read_text() for name in ("one", "two"))
    assert re.fullmatch(r"redis://:[0-9a-f]{64}@valkey:6379/0\n", one)
    assert one != two
    assert stat.S_IMODE((tmp_path / "one").stat().st_mode) == 0o700
    assert sorted(COMPOSE["secrets"]) == sorted(path.name for path in (tmp_path / "one").iterdir())


def test_locust_has_the_locked_version() -> None:
    load = yaml.safe_load((ROOT / "compose.load.yaml").read_text())
    [locked] = re.findall(r"^locust==(\S+)", (ROOT / "requirements/dev.txt").read_text(), re.MULTILINE)

    assert load["x-locust"]["image"] == f"locustio/locust:{locked}"


async def test_all_services_start_and_are_ready(deployment: Composed) -> None:
    """With the commands and the environment of the file; then each check of the image passes."""
    assert {name for name, each in deployment.processes.items() if each.returncode is None} == {
        "valkey",
        *OURS,
    } - {"migrate"}


async def test_all_services_end_when_the_engine_asks(empty_database_url: str, tmp_path: Path) -> None:
    async with composed(tmp_path, empty_database_url) as running:
        codes = await asyncio.gather(*(stopped(each) for each in running.processes.values()))

    assert codes == [0] * len(codes)

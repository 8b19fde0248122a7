"""Odd requests, generated from the OpenAPI document by schemathesis."""

import asyncio
import sys
from pathlib import Path

import pytest

from tests.conftest import SCALE
from tests.end_to_end.running import RunningUp, started_up

pytestmark = pytest.mark.end_to_end

EXAMPLES, PHASES = (3, "fuzzing") if SCALE == 1 else (25 * SCALE, "coverage,fuzzing")
"""Random requests of each operation: some 400 in CI; in the nightly run more than 20,000, with those at the
limits of every parameter."""

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
SECONDS = 300 * SCALE


async def test_every_answer_is_as_documented(tmp_path: Path) -> None:
    """No 5xx, and no undocumented status, content type or member."""
    async with started_up(tmp_path / "data") as up:
        await up.until_ready()
        (tmp_path / "schemathesis.toml").write_text(parameters_of(up))
        process = await asyncio.create_subprocess_exec(
            *command(up, tmp_path),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=tmp_path,
        )
        async with asyncio.timeout(SECONDS):
            output, _ = await process.communicate()

    assert process.returncode == 0, output.decode()[-8000:]


def parameters_of(up: RunningUp) -> str:
    """Use existing ids, or nearly all answers would be 404. Ids to delete stay random."""
    return (
        "[parameters]\n"
        f'"path.projectId" = "{up.ready.project_id}"\n'
        f'"path.organizationId" = "{up.ready.organization_id}"\n'
    )


def command(up: RunningUp, directory: Path) -> list[str]:
    """The same requests each time; in the nightly run different ones, and ten times as many."""
    same = ("--seed", "1", "--generation-deterministic")
    other = ("--generation-database", "none")
    return [
        *(str(Path(sys.executable).with_name("st")), "--config-file", str(directory / "schemathesis.toml")),
        *("run", f"{up.ready.url}/docs/v2/openapi.json"),
        *("--checks", ",".join(CHECKS), "--phases", PHASES),
        *("--max-examples", str(EXAMPLES), *(same if SCALE == 1 else other)),
        *("--header", f"Authorization: Bearer {up.ready.user_token}"),
        *("--exclude-path", "/api/v2/auth/logout"),  # it would end the login that all other requests use
        *("--exclude-path", "/api/v2/stacks/{id}/promote"),  # 501 is what the contract says
        *("--exclude-path", "/api/v2/events/stream"),  # it has no end
        *("--no-shrink", "--continue-on-failure", "--warnings", "off", "--no-color"),
        *("--generation-with-security-parameters", "false"),
    ]

"""Commands find the servers of a running `headrace up`, and say so if there is none."""

import asyncio
import subprocess
from pathlib import Path

import msgspec
import pytest

from collector.embedded.ready_file import ReadyFile
from tests.api.running_api import EMAIL, RunningApi
from tests.database.rows import ORGANIZATION, PROJECT
from tests.test_cli import headrace

COMMANDS = [
    pytest.param(("user", "list"), id="an operator's command"),
    pytest.param(("audit",), id="audit"),
]


Urls = dict[str, str]


@pytest.fixture
def urls(api: RunningApi, redis_url: str, database_url: str) -> Urls:
    assert api.url
    return {"redis_url": redis_url, "database_url": database_url}


def write_ready_file(directory: Path, urls: Urls) -> None:
    """Write the file that `headrace up` on these servers leaves."""
    directory.mkdir(exist_ok=True)
    rest = dict.fromkeys(("url", "email", "password", "user_token", "client_token"), "-")
    ReadyFile(
        pids={},
        organization_id=ORGANIZATION.hex,
        project_id=PROJECT.hex,
        **rest,
        **urls,
    ).write(directory / "ready.json")


@pytest.mark.integration
@pytest.mark.parametrize(
    ("folder", "options"),
    [
        pytest.param(".headrace", (), id="in the folder where it was started"),
        pytest.param("data", ("--data-dir", "data"), id="by its data directory"),
    ],
)
async def test_a_running_up_is_found(
    urls: Urls, key_prefix: str, tmp_path: Path, folder: str, options: tuple[str, ...]
) -> None:
    """Trying it out needs no settings."""
    write_ready_file(tmp_path / folder, urls)

    async def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return await asyncio.to_thread(
            headrace, *arguments, *options, directory=str(tmp_path), HEADRACE_REDIS_KEY_PREFIX=key_prefix
        )

    user, audit = await run("user", "show", EMAIL), await run("audit", "--json")

    assert (user.returncode, audit.returncode) == (0, 0), user.stderr + audit.stderr
    assert EMAIL in user.stdout
    assert msgspec.json.decode(audit.stdout)["is_sound"]


@pytest.mark.parametrize("command", COMMANDS)
def test_without_a_running_up_the_error_says_why(tmp_path: Path, command: tuple[str, ...]) -> None:
    """None was started here, the named one is not running, or its file is damaged."""
    nowhere = headrace(*command, directory=str(tmp_path))
    absent = headrace(*command, "--data-dir", str(tmp_path))
    (tmp_path / "ready.json").write_text("{}")
    damaged = headrace(*command, "--data-dir", str(tmp_path))

    assert (nowhere.returncode, absent.returncode, damaged.returncode) == (2, 2, 2)
    assert "_URL are not set, and there is no .headrace of a `headrace up` here" in nowhere.stderr
    assert absent.stderr.startswith(f"headrace: no `headrace up` runs with the data directory {tmp_path}")
    assert damaged.stderr == f"headrace: {tmp_path}/ready.json is not a ready file of `headrace up`.\n"


@pytest.mark.integration
@pytest.mark.parametrize("command", COMMANDS)
def test_a_killed_up_is_recognized_by_the_file_it_left(
    urls: Urls, tmp_path: Path, command: tuple[str, ...]
) -> None:
    """One line names the server, the reason and the ready file. Other servers have its ports now."""
    write_ready_file(tmp_path, urls | {"database_url": urls["database_url"] + "_of_others"})

    done = headrace(*command, "--data-dir", str(tmp_path))

    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.endswith(f"The URL is from {tmp_path}/ready.json; is that `headrace up` still running?")


def test_configured_servers_take_precedence_over_a_running_up(tmp_path: Path) -> None:
    """If only one of the two is configured, the command asks for the other."""
    write_ready_file(tmp_path / ".headrace", dict.fromkeys(("redis_url", "database_url"), "-"))

    done = headrace("audit", directory=str(tmp_path), REDIS_URL="redis://127.0.0.1:2/0")

    assert done.returncode == 2
    assert done.stderr.startswith("headrace: HEADRACE_DATABASE_URL is not set")

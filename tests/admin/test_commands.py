"""`headrace user|organization|project|token` on real servers, as a shell runs them."""

import asyncio
import os
import signal
import subprocess
import sys
from typing import Any

import msgspec
import pytest

from tests.api.running_api import EMAIL, RunningApi
from tests.database.rows import ORGANIZATION, PROJECT, an_event
from tests.support.real_clock import real_now
from tests.test_cli import headrace

BROUGHT = "my-own-client-key-0123456789abcdef"


class Shell:
    """Runs the command on a test's own servers."""

    def __init__(self, environ: dict[str, str]) -> None:
        self.environ = environ

    async def run(self, *arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        """Run the command and return the finished process, whatever its exit status."""
        return await asyncio.to_thread(headrace, *arguments, typed=typed, **self.environ)

    async def said(self, *arguments: str, typed: str = "") -> Any:
        """Run it, expect success, and return its JSON output."""
        done = await self.run(*arguments, "--json", typed=typed)
        assert (done.returncode, done.stderr) == (0, "")
        return msgspec.json.decode(done.stdout)

    async def refused(self, *arguments: str, typed: str = "") -> str:
        """Run it, expect exit status 2, and return the single line of its error."""
        done = await self.run(*arguments, typed=typed)
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
        (line,) = done.stderr.splitlines()
        return line


@pytest.fixture
def shell(api: RunningApi, redis_url: str, database_url: str, key_prefix: str) -> Shell:
    assert api.url
    return Shell(
        {"REDIS_URL": redis_url, "DATABASE_URL": database_url, "HEADRACE_REDIS_KEY_PREFIX": key_prefix}
    )


@pytest.mark.integration
async def test_an_operator_can_set_up_an_existing_key_from_scratch(shell: Shell, api: RunningApi) -> None:
    """For people who move applications that already have a key."""
    user = await shell.said("user", "create", "you@example.com", "--name", "You", typed="correct horse\n")
    organization = await shell.said("organization", "create", "Moved", "--owner", "you@example.com")
    project = await shell.said("project", "create", "Old shop", "--organization", organization["id"])
    token = await shell.said("token", "create", "--project", project["id"], "--value", BROUGHT)

    assert user["roles"] == ["user", "client"]
    assert token["id"] == BROUGHT
    assert token["scopes"] == ["client"]
    assert await api.known_to_ingest(BROUGHT)
    login = await api.post(
        "/api/v2/auth/login", body={"email": "you@example.com", "password": "correct horse"}
    )
    projects = await api.get("/api/v2/projects", login.json["token"])
    assert [found["name"] for found in projects.json] == ["Old shop"]


@pytest.mark.integration
async def test_lists_are_tables_for_people(shell: Shell, api: RunningApi) -> None:
    """One row each. Nothing is wrapped in a pipe, and control characters are escaped."""
    await api.pool.execute("UPDATE projects SET name = E'Sh\\x1b[31mop' WHERE id = $1", PROJECT)

    users = (await shell.run("user", "list")).stdout.splitlines()
    projects = (await shell.run("project", "list", "--organization", ORGANIZATION.hex)).stdout
    tokens = (await shell.run("token", "list", "--project", PROJECT.hex)).stdout

    heads = ["id", "email", "address", "full", "name", "roles", "is", "active", "organization", "ids"]
    assert users[0].split() == heads
    assert len(users) == 2 + 3
    assert "Sh\ufffd[31mop" in projects
    assert "\x1b" not in projects
    assert api.people.client in tokens
    assert api.people.program[:24] in tokens
    assert api.people.program not in tokens


@pytest.mark.integration
async def test_deleting_for_good_asks_for_confirmation(shell: Shell, api: RunningApi) -> None:
    """Without a terminal, nothing is deleted unless `--yes` is given."""
    line = await shell.refused("project", "delete", PROJECT.hex)
    there = await shell.said("project", "show", PROJECT.hex)
    gone = await shell.said("project", "delete", PROJECT.hex, "--yes")

    assert line.endswith("say --yes.")
    assert there["name"] == gone["name"] == "Shop"
    assert not await api.known_to_ingest(api.people.client)
    assert "There is no such project." in await shell.refused("project", "show", PROJECT.hex)


HOSTILE = "\x1b]0;owned\x07\u202e\x9b2J\r\n\tx"


@pytest.mark.integration
async def test_hostile_events_are_harmless_on_a_terminal(shell: Shell, api: RunningApi) -> None:
    """Control characters from events are escaped in tables, sentences, JSON and errors."""
    await api.pool.execute("UPDATE projects SET name = $1", HOSTILE)
    await api.store(an_event(message=HOSTILE, source=HOSTILE, type=HOSTILE, reference_id="order-4711"))

    table = await shell.run("events")
    tables = [table, await shell.run("stacks"), await shell.run("trace", "order-4711")]
    as_json = await shell.run("events", "--json")
    refused = await shell.refused("events", "--project", HOSTILE)

    assert [done.returncode for done in (*tables, as_json)] == [0, 0, 0, 0]
    for text in (*(done.stdout for done in (*tables, as_json)), refused):
        assert text.replace("\n", "").isprintable()
    assert "\ufffd]0;owned\ufffd" in table.stdout
    assert "Several projects" in refused
    assert msgspec.json.decode(as_json.stdout)[0]["message"] == HOSTILE


@pytest.mark.integration
async def test_a_trace_that_finds_nothing_exits_with_1(shell: Shell) -> None:
    """Scripts see the status; people read what was searched."""
    done = await shell.run("trace", "order-4711")

    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("Not found ")


@pytest.mark.integration
async def test_following_ends_with_ctrl_c(shell: Shell, api: RunningApi) -> None:
    """With exit status 0 and no traceback; each event is one line."""
    await api.store(an_event(message="first"))
    inherited = {name: text for name, text in os.environ.items() if name in {"PATH", "HOME"}}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "collector.cli", "events", "type:log", "--follow", "--json"),
        env=inherited | shell.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(60):
        assert msgspec.json.decode(await process.stdout.readline())["message"] == "first"
        await api.store(an_event(message="second", accepted=real_now()))
        assert msgspec.json.decode(await process.stdout.readline())["message"] == "second"
        process.send_signal(signal.SIGINT)
        rest, errors = await process.communicate()

    assert (process.returncode, rest, errors) == (0, b"", b"")


@pytest.mark.integration
@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        pytest.param(("user", "show", "nobody@example.com"), "There is no user", id="no user"),
        pytest.param(("user", "create", EMAIL), "already has an account", id="an address that is taken"),
        pytest.param(("user", "create", "@"), "There must be something before the @-sign", id="no address"),
        pytest.param(("organization", "show", "x"), "There is no such organization.", id="no organization"),
        pytest.param(("organization", "create", " "), "Organization name is required.", id="no name"),
        pytest.param(
            ("project", "create", "Shop", "--organization", ORGANIZATION.hex), "already", id="taken"
        ),
        pytest.param(
            ("token", "create"), "either --project or --organization", id="a token without an owner"
        ),
        pytest.param(
            ("token", "create", "--project", PROJECT.hex, "--scope", "all"), "Invalid token scope", id="scope"
        ),
        pytest.param(("token", "list", "--project", "x"), "There is no such project.", id="an unknown owner"),
        pytest.param(("events", "--time", "today", "-f"), "only one of --time and --follow", id="two times"),
        pytest.param(("events", "message:("), "filter", id="no filter"),
        pytest.param(("stacks", "--project", "x"), "There is no such project.", id="an unknown project"),
        pytest.param(("trace", "x" * 1001), "must be a reference id", id="no reference"),
        pytest.param(
            ("token", "list", "--project", "x", "--organization", "y"), "only one of", id="two owners"
        ),
    ],
)
async def test_a_mistake_is_one_line_on_standard_error(
    shell: Shell, arguments: tuple[str, ...], line: str
) -> None:
    """No traceback, nothing on standard output, exit status 2."""
    assert line in await shell.refused(*arguments, typed="correct horse\n")


@pytest.mark.integration
async def test_a_key_can_be_piped_in(shell: Shell, api: RunningApi) -> None:
    """Commands in files that others may read need not contain the key."""
    arguments = ("token", "create", "--organization", ORGANIZATION.hex, "--value", "-")
    token = await shell.said(*arguments, typed=f"{BROUGHT}\nand more\n")

    assert token["id"] == BROUGHT
    assert "project_id" not in token
    assert await api.known_to_ingest(BROUGHT)


@pytest.mark.parametrize(
    ("arguments", "typed", "line"),
    [
        pytest.param([b"token", b"create", b"--notes", b"\xff"], b"", b"an argument is", id="an argument"),
        pytest.param([b"user", b"create", b"a@example.com"], b"\xff\xfe", b"standard input is", id="a pipe"),
    ],
)
def test_arguments_that_are_not_text_are_refused_first(
    arguments: list[bytes], typed: bytes, line: bytes
) -> None:
    """Otherwise a token could be created whose secret cannot be printed."""
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-P", "-m", "collector.cli", *arguments, *([b"--project", b"x"] * (not typed))],
        env={"PATH": os.environ["PATH"]},
        input=typed,
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 2
    assert done.stderr == b"headrace: " + line + b" not UTF-8 text.\n"


def test_a_password_is_never_an_argument() -> None:
    """Every user of the machine can read a process's arguments."""
    done = headrace("user", "set-password", EMAIL, "correct horse")

    assert done.returncode == 2
    assert "unexpected extra argument" in done.stderr
    assert "--password" not in headrace("user", "set-password", "--help").stdout

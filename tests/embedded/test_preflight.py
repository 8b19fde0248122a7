"""`up` checks its settings and given servers before it starts anything."""

import io
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from collector.broker import connection
from collector.embedded.console import Console
from collector.embedded.preflight import check_own_servers, up_settings
from collector.embedded.settings import UpSettings
from collector.process.clock import SystemClock
from collector.process.lifecycle import StartError
from tests.conftest import Servers


@pytest.fixture
def output() -> io.StringIO:
    """The output of `up`."""
    return io.StringIO()


@pytest.fixture
def console(output: io.StringIO) -> Console:
    return Console(output, SystemClock())


def test_empty_variables_name_no_servers(console: Console, output: io.StringIO) -> None:
    settings = up_settings({"HEADRACE_PORT": "8095", "REDIS_URL": "", "HEADRACE_REDIS_URL": ""}, console)

    assert settings == UpSettings(port=8095)
    assert output.getvalue() == ""


def test_every_invalid_variable_of_any_child_has_a_line(console: Console) -> None:
    """Once, even if two children read it. URLs that `up` will set are not checked."""
    wrong = {
        "HEADRACE_BODY_LIMIT_BYTES": "abc",
        "HEADRACE_CLAIM_IDLE_SECONDS": "0",
        "HEADRACE_DATABASE_CONNECTIONS": "0",
        "HEADRACE_PORT": "many",
        "REDIS_URL": "http://x",
    }
    with pytest.raises(StartError) as refused:
        up_settings(wrong, console)

    assert sorted(line.split()[0] for line in str(refused.value).splitlines()) == sorted(wrong)


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        pytest.param(
            {"HEADRACE_TRUSTED_PROXIES": "lan"}, "HEADRACE_TRUSTED_PROXIES holds 'lan'", id="no network"
        ),
        pytest.param({"HEADRACE_FAULTS_DIRECTORY": "/x"}, "they need HEADRACE_FAULTS=on", id="faults"),
    ],
)
def test_rules_that_children_check_later_are_checked_first(
    console: Console, environ: dict[str, str], said: str
) -> None:
    """In addition to the types of values."""
    with pytest.raises(StartError, match=said):
        up_settings(environ, console)


def test_a_misspelt_variable_is_a_warning(console: Console, output: io.StringIO) -> None:
    """It may be meant for another program."""
    up_settings({"HEADRACE_SHRADS": "2"}, console)

    assert output.getvalue() == "Warning: HEADRACE_SHRADS is not a setting; did you mean HEADRACE_SHARDS?\n"


@pytest.mark.integration
async def test_waiting_for_a_given_server_is_shown(
    console: Console, output: io.StringIO, servers: Servers, database_url: str
) -> None:
    """With its name, without the password."""
    settings = UpSettings(redis_url=servers.redis_url, database_url=database_url)

    await check_own_servers(settings, {}, console)

    said = output.getvalue()
    assert said.startswith("Reaching Redis at redis://:***@127.0.0.1:")
    assert "\nReaching Postgres at postgresql://postgres:***@127.0.0.1:" in said
    assert said.count(" ...\n") == said.count(" s\n") == 2
    assert not any(password_of(url) in said for url in (settings.redis_url, settings.database_url))


def password_of(url: str) -> str:
    """The password in a URL."""
    return urlsplit(url).password or "a URL without a password"


async def test_an_unreachable_redis_is_reported_with_advice(
    console: Console, output: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the name of the variable that was set."""
    monkeypatch.setattr(connection, "_START_WAIT_SECONDS", 0.3)
    url = "redis://127.0.0.1:1/0"

    with pytest.raises(StartError) as refused:
        await check_own_servers(UpSettings(redis_url=url), {"REDIS_URL": url}, console)

    assert str(refused.value).startswith(f"cannot reach Redis at {url} (")
    assert str(refused.value).endswith(
        "running there? Correct REDIS_URL, or unset it and `up` brings its own server."
    )
    assert output.getvalue() == f"Reaching Redis at {url} ...\n"


async def test_an_unusable_postgres_is_reported_with_advice(console: Console, tmp_path: Path) -> None:
    """Here one whose socket does not exist."""
    url = f"postgresql://me@/db?host={tmp_path}&sslmode=maybe"
    environ = {"DATABASE_URL": "postgresql://h", "HEADRACE_DATABASE_URL": url}

    with pytest.raises(StartError, match=r"Correct HEADRACE_DATABASE_URL, or unset it and `up` brings"):
        await check_own_servers(UpSettings(database_url=url), environ, console)

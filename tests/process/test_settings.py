"""Settings are read once, and an invalid one stops the start with one clear line."""

import re
from pathlib import Path
from typing import Annotated, Literal

import pytest
from msgspec import Meta

from collector.process.known_settings import MEANINGS
from collector.process.lifecycle import ServerError, StartError
from collector.process.settings import (
    SECRETS,
    RedisSettings,
    Settings,
    check_settings,
    in_words,
    names_a_server,
    read_settings,
    variable_of,
    with_servers,
    without_password,
)


class ExampleSettings(RedisSettings, frozen=True, kw_only=True):
    limit_bytes: Annotated[int, Meta(ge=1, le=10, description="a number from 1 to 10")] = 5
    mode: Literal["strict", "relaxed"] = "strict"
    is_on: bool = False
    proxies: tuple[str, ...] = ()
    ratio: float = 1.5


URL = {"REDIS_URL": "redis://localhost/0"}


def test_unset_variables_have_their_defaults() -> None:
    """Empty ones, too."""
    settings = read_settings(ExampleSettings, URL | {"HEADRACE_MODE": ""})

    assert settings == ExampleSettings(redis_url="redis://localhost/0")


def test_every_kind_of_value_is_read() -> None:
    """Numbers, choices, switches and lists."""
    settings = read_settings(
        ExampleSettings,
        URL
        | {
            "HEADRACE_LIMIT_BYTES": "7",
            "HEADRACE_MODE": "relaxed",
            "HEADRACE_IS_ON": "true",
            "HEADRACE_PROXIES": "10.0.0.1, 10.0.0.2",
            "HEADRACE_RATIO": "2",
        },
    )

    assert settings.limit_bytes == 7
    assert settings.mode == "relaxed"
    assert settings.is_on
    assert settings.proxies == ("10.0.0.1", "10.0.0.2")
    assert settings.ratio == 2.0


def test_the_prefixed_url_wins() -> None:
    """`HEADRACE_REDIS_URL` before `REDIS_URL`."""
    settings = read_settings(ExampleSettings, URL | {"HEADRACE_REDIS_URL": "redis://other/1"})

    assert settings.redis_url == "redis://other/1"


@pytest.mark.parametrize(
    ("variable", "held", "sentence"),
    [
        pytest.param(
            "HEADRACE_LIMIT_BYTES",
            "11",
            "HEADRACE_LIMIT_BYTES holds '11'; it must be a number from 1 to 10.",
            id="out of range",
        ),
        pytest.param(
            "HEADRACE_LIMIT_BYTES",
            "much",
            "HEADRACE_LIMIT_BYTES holds 'much'; it must be a number from 1 to 10.",
            id="no number",
        ),
        pytest.param(
            "HEADRACE_MODE",
            "loose",
            "HEADRACE_MODE holds 'loose'; it must be one of strict, relaxed.",
            id="choice",
        ),
        pytest.param(
            "HEADRACE_IS_ON", "maybe", "HEADRACE_IS_ON holds 'maybe'; it must be true or false.", id="switch"
        ),
        pytest.param("HEADRACE_RATIO", "x", "HEADRACE_RATIO holds 'x'; it must be a number.", id="float"),
    ],
)
def test_an_invalid_setting_is_named_with_its_value_and_the_rule(
    variable: str, held: str, sentence: str
) -> None:
    """In one line."""
    with pytest.raises(StartError) as caught:
        read_settings(ExampleSettings, URL | {variable: held})

    assert str(caught.value) == sentence


def test_a_missing_setting_is_named() -> None:
    """The URL has no default."""
    with pytest.raises(StartError, match="HEADRACE_REDIS_URL is not set; it must be a URL like redis://"):
        read_settings(ExampleSettings, {})


@pytest.mark.parametrize(
    ("environ", "beginning"),
    [
        pytest.param(
            {"REDIS_URL": "http://user:secret@host"},
            "REDIS_URL holds 'http://user:***@host'; it must be a URL like redis://",
            id="another scheme",
        ),
        pytest.param(
            {"REDIS_URL": "redis://h", "HEADRACE_REDIS_URL": "localhost:6379"},
            "HEADRACE_REDIS_URL holds 'localhost:6379'; it must be",
            id="no URL",
        ),
        pytest.param(
            {"REDIS_URL": "user:secret@host"},
            "REDIS_URL holds something that is no URL; it must be",
            id="no URL, perhaps with a password",
        ),
        pytest.param(
            {"REDIS_URL": "host=h password=secret"},
            "REDIS_URL holds something that is no URL; it must be",
            id="words",
        ),
    ],
)
def test_an_invalid_url_is_shown_without_its_password(environ: dict[str, str], beginning: str) -> None:
    """Under the name of the variable that was set."""
    with pytest.raises(StartError) as caught:
        read_settings(ExampleSettings, environ)

    assert str(caught.value).startswith(beginning)
    assert "secret" not in str(caught.value)


def test_a_secret_is_read_from_the_file_that_a_variable_names(tmp_path: Path) -> None:
    """Without the line end; it comes before the variable without our prefix."""
    secret = tmp_path / "redis_url"
    secret.write_text("redis://:word@h/0\n")
    environ = URL | {"HEADRACE_REDIS_URL_FILE": str(secret)}

    assert read_settings(ExampleSettings, environ).redis_url == "redis://:word@h/0"
    assert variable_of("redis_url", environ) == "HEADRACE_REDIS_URL_FILE"
    assert names_a_server({"HEADRACE_REDIS_URL_FILE": str(secret)})
    found = with_servers(environ, redis_url="redis://other", database_url="postgresql://other")
    assert read_settings(ExampleSettings, found).redis_url == "redis://other"


@pytest.mark.parametrize(
    ("content", "also", "ending"),
    [
        pytest.param(b"redis://h", "redis://h", " are both set; unset one of them.", id="both set"),
        pytest.param(None, "", "which cannot be read: No such file or directory.", id="no file"),
        pytest.param(b"\xff\xfe", "", "which cannot be read: it is not text in UTF-8.", id="binary"),
        pytest.param(b"x" * 70_000, "", "which cannot be read: it is too long.", id="endless"),
        pytest.param(
            b"hunter2", "", "which holds something that is no URL; it must be a URL like", id="a word"
        ),
        pytest.param(
            b"http://:hunter2@h", "", "which holds 'http://:***@h'; it must be a URL like", id="a URL"
        ),
    ],
)
def test_a_file_that_is_no_secret_is_one_line_without_its_content(
    tmp_path: Path, content: bytes | None, also: str, ending: str
) -> None:
    secret = tmp_path / "redis_url"
    if content is not None:
        secret.write_bytes(content)
    environ = {"HEADRACE_REDIS_URL_FILE": str(secret), "HEADRACE_REDIS_URL": also}

    with pytest.raises(StartError) as caught:
        read_settings(ExampleSettings, environ)

    [line] = str(caught.value).splitlines()
    assert ending in line
    assert "HEADRACE_REDIS_URL_FILE" in line
    assert "hunter2" not in line


def test_every_setting_that_may_hold_a_password_can_stand_in_a_file() -> None:
    secret = re.compile("password|secret|token$|_key$|_url$")

    assert sorted(name for name in MEANINGS if secret.search(name)) == sorted(SECRETS)


def test_every_invalid_setting_has_a_line() -> None:
    """So all can be corrected together."""
    with pytest.raises(StartError) as caught:
        read_settings(ExampleSettings, {"HEADRACE_MODE": "loose", "HEADRACE_RATIO": "x"})

    named = [line.partition(" ")[0] for line in str(caught.value).splitlines()]
    assert named == ["HEADRACE_REDIS_URL", "HEADRACE_MODE", "HEADRACE_RATIO"]


def test_settings_of_several_processes_are_checked_together() -> None:
    """An error that several of them have is reported once."""
    kinds = (Settings, ExampleSettings, RedisSettings)
    check_settings(kinds, URL)

    with pytest.raises(StartError) as caught:
        check_settings(kinds, {"HEADRACE_LOG_LEVEL": "loud", "HEADRACE_MODE": "loose"} | URL)

    named = sorted(line.partition(" ")[0] for line in str(caught.value).splitlines())
    assert named == ["HEADRACE_LOG_LEVEL", "HEADRACE_MODE"]


@pytest.mark.parametrize(
    ("environ", "variable"),
    [
        ({"REDIS_URL": "redis://h"}, "REDIS_URL"),
        ({"REDIS_URL": "redis://h", "HEADRACE_REDIS_URL": "redis://i"}, "HEADRACE_REDIS_URL"),
    ],
)
def test_a_server_that_cannot_be_used_is_named_with_its_variable(
    environ: dict[str, str], variable: str
) -> None:
    """Other errors are not changed."""
    error = ServerError("cannot reach Redis.", "redis_url")

    assert in_words(error, environ) == (
        f"cannot reach Redis. The URL is from {variable}; `headrace up` needs none."
    )
    assert in_words(StartError("the port is taken."), environ) == "the port is taken."


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:pw@h:1/0", "redis://:***@h:1/0"),
        ("postgresql://u:p@ss@h/db", "postgresql://u:***@h/db"),
        ("postgresql://u:p/a?s#s@h/db", "postgresql://u:***@h/db"),
        ("postgresql://u@h:5432/db", "postgresql://u@h:5432/db"),
        ("postgresql://h/db?SSLPassword=pw", "postgresql://h/db?SSLPassword=***"),
        ("postgresql://h/db?password=pw&x=1", "postgresql://h/db?password=***&x=1"),
        ("redis://h:1", "redis://h:1"),
    ],
)
def test_urls_are_shown_without_their_password(url: str, shown: str) -> None:
    """In logs and errors."""
    assert without_password(url) == shown

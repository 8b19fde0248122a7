"""The client configuration: versions as clients send them, lists, and what a new project begins with."""

import pytest

from collector.domain.project.client_settings import (
    BOT_PATTERNS,
    DATA_EXCLUSIONS,
    NEW_PROJECT_SETTINGS,
    listed,
    parse_config_version,
    setting_patterns,
)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        pytest.param("7", 7, id="a number"),
        pytest.param(" 7 ", 7, id="with blanks"),
        pytest.param("-1", -1, id="below zero"),
        pytest.param("2147483647", 2147483647, id="the largest"),
        pytest.param("2147483648", None, id="one more"),
        pytest.param("9" * 5000, None, id="thousands of digits"),
        pytest.param("undefined", None, id="what a client without settings sends"),
        pytest.param("1_0", None, id="what only Python reads"),
        pytest.param("\N{ARABIC-INDIC DIGIT ONE}", None, id="another script's digit"),
        pytest.param("", None, id="empty"),
        pytest.param(None, None, id="absent"),
    ],
)
def test_a_version_is_an_int32_or_absent(text: str | None, version: int | None) -> None:
    """A client that has none must get the settings, not an error."""
    assert parse_config_version(text) == version


def test_a_list_is_separated_by_commas() -> None:
    """Blanks and empty parts do not count; a setting that is not there is an empty list."""
    assert listed({DATA_EXCLUSIONS: " a, ,b*,"}, DATA_EXCLUSIONS) == ("a", "b*")
    assert listed({}, DATA_EXCLUSIONS) == ()


def test_a_new_project_knows_bots_and_browsers_apart() -> None:
    """No other setting: anything else could switch events off."""
    assert list(NEW_PROJECT_SETTINGS) == [BOT_PATTERNS]
    patterns = setting_patterns(NEW_PROJECT_SETTINGS, BOT_PATTERNS)
    assert patterns.match("Mozilla/5.0 (compatible; Googlebot/2.1)")
    assert not patterns.match("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0")

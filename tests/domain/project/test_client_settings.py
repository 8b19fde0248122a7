import pytest

from collector.domain.project.client_settings import (
    BOT_PATTERNS,
    DATA_EXCLUSIONS,
    NEW_PROJECT_SETTINGS,
    parse_config_version,
    setting_list,
    setting_patterns,
)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        pytest.param("7", 7, id="a number"),
        pytest.param(" 7 ", 7, id="with spaces"),
        pytest.param("-1", -1, id="negative"),
        pytest.param("2147483647", 2147483647, id="the largest"),
        pytest.param("2147483648", None, id="above the largest"),
        pytest.param("9" * 5000, None, id="thousands of digits"),
        pytest.param("undefined", None, id="what a client without settings sends"),
        pytest.param("1_0", None, id="an underscore, which int() accepts"),
        pytest.param("\N{ARABIC-INDIC DIGIT ONE}", None, id="a digit of another script"),
        pytest.param("", None, id="empty"),
        pytest.param(None, None, id="absent"),
    ],
)
def test_a_version_is_an_int32_or_absent(text: str | None, version: int | None) -> None:
    """An invalid version counts as absent: the client gets the settings, not an error."""
    assert parse_config_version(text) == version


def test_a_list_is_separated_by_commas() -> None:
    """Spaces and empty items are dropped; a missing setting is an empty list."""
    assert setting_list({DATA_EXCLUSIONS: " a, ,b*,"}, DATA_EXCLUSIONS) == ("a", "b*")
    assert setting_list({}, DATA_EXCLUSIONS) == ()


def test_a_new_projects_only_setting_tells_bots_from_browsers() -> None:
    assert list(NEW_PROJECT_SETTINGS) == [BOT_PATTERNS]
    patterns = setting_patterns(NEW_PROJECT_SETTINGS, BOT_PATTERNS)
    assert patterns.match("Mozilla/5.0 (compatible; Googlebot/2.1)")
    assert not patterns.match("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0")

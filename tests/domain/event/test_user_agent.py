"""Browser, system and device are recognized by the user agent."""

import pytest

from collector.domain.event.user_agent import parse_agent

CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36"
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/17.1 Mobile/15E148 Safari/604.1"
)
SPIDER = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"


def test_a_user_agent_gives_browser_system_and_device() -> None:
    """In the members that filters use."""
    assert dict(parse_agent(IPHONE).members) == {
        "@browser": "Mobile Safari",
        "@browser_version": "17.1",
        "@browser_major_version": "17",
        "@device": "iPhone",
        "@os": "iOS",
        "@os_version": "17.1",
        "@os_major_version": "17",
    }


def test_unknown_values_are_left_out() -> None:
    assert dict(parse_agent(CHROME).members) == {
        "@browser": "Chrome",
        "@browser_version": "140.0",
        "@browser_major_version": "140",
        "@os": "Linux",
    }
    assert parse_agent("agent-of-our-own").members == ()


@pytest.mark.parametrize(
    ("user_agent", "is_spider"),
    [pytest.param(SPIDER, True, id="a spider"), pytest.param(CHROME, False, id="a browser")],
)
def test_a_spider_is_recognized(user_agent: str, *, is_spider: bool) -> None:
    """By the library's rules, before the project's own."""
    assert parse_agent(user_agent).is_spider is is_spider


@pytest.mark.parametrize(
    "user_agent", ["", " ", "x" * 100_000, "((((" * 1000, "1." * 5000, "\u00e4\U0001f600"]
)
def test_any_text_can_be_a_user_agent(user_agent: str) -> None:
    """Only its beginning is parsed, in bounded time."""
    assert parse_agent(user_agent).is_spider is False

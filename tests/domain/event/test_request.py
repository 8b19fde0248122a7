"""What is kept of a request, and what its user agent says."""

import copy
from typing import Any

import pytest

from collector.domain.event.request import complete_request, method_and_path
from collector.domain.project.rules import DEFAULT_RULES, ProjectRules

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
SPIDER = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
STRICT = ProjectRules({"@@DataExclusions": "password, X-Key"})
DISCREET = ProjectRules({"@@IncludePrivateInformation": "false"})


def completed(request: dict[str, Any], project: ProjectRules = DEFAULT_RULES) -> dict[str, Any]:
    """The request afterwards; the argument is not changed."""
    own = copy.deepcopy(request)
    complete_request(own, project)
    return own


def test_the_user_agent_is_described_in_the_requests_data() -> None:
    """In addition to the sender's data there. Only the server fills these members."""
    request = {"user_agent": FIREFOX, "data": {"route": "basket", "@browser": "forged", "@is_bot": True}}

    assert completed(request)["data"] == {
        "route": "basket",
        "@browser": "Firefox",
        "@browser_version": "140.0",
        "@browser_major_version": "140",
        "@os": "Linux",
        "@is_bot": False,
    }


@pytest.mark.parametrize(
    ("user_agent", "patterns", "is_bot"),
    [
        pytest.param(SPIDER, "", True, id="a spider that all know"),
        pytest.param("ShopCheck/1.0", "*shopcheck*", True, id="a pattern, in any case"),
        pytest.param("ShopCheck/1.0", "shopcheck", False, id="a pattern is the whole agent"),
        pytest.param(FIREFOX, "*bot*, *crawler*", False, id="a browser"),
        pytest.param("", "*", False, id="no agent"),
        pytest.param(5, "*", False, id="not a text"),
    ],
)
def test_bots_are_recognized_by_the_rules_and_by_the_project(
    user_agent: Any, patterns: str, *, is_bot: bool
) -> None:
    """The result is stored if there is a user agent."""
    project = ProjectRules({"@@UserAgentBotPatterns": patterns})
    request: dict[str, Any] = {"user_agent": user_agent}

    assert complete_request(request, project) is is_bot
    assert request.get("data", {}).get("@is_bot", False) is is_bot


def test_asp_net_internals_and_nameless_values_are_removed() -> None:
    """From cookies, form, query and headers, for every project."""
    request = {
        "headers": {"X-VIEWSTATE-1": ["x"], "Accept": ["a"]},
        "cookies": {"ARRAffinity": "x", ".ASPXAUTH": "x", "": "x", "theme": "dark"},
        "query_string": {"__EventValidation": "x", "page": "2"},
        "post_data": {"__VIEWSTATE": "x", "field": "1"},
        "path": "/VIEWSTATE",
    }

    assert completed(request) == {
        "headers": {"Accept": ["a"]},
        "cookies": {"theme": "dark"},
        "query_string": {"page": "2"},
        "post_data": {"field": "1"},
        "path": "/VIEWSTATE",
    }


def test_exclusions_of_the_project_are_removed() -> None:
    """At every depth of posted data, also in JSON within a text."""
    request = {
        "headers": {"x-key": ["k"]},
        "post_data": ' {"user": {"Password": "x", "name": "u"}}',
        "query_string": {"password": "x"},
    }

    assert completed(request, STRICT) == {
        "headers": {},
        "post_data": {"user": {"name": "u"}},
        "query_string": {},
    }


def test_long_values_keep_their_beginning() -> None:
    """The first thousand characters."""
    request = {"cookies": {"a": "x" * 1001}, "headers": {"b": ["y" * 1001]}, "post_data": "z" * 1001}

    assert completed(request) == {
        "cookies": {"a": "x" * 1000},
        "headers": {"b": ["y" * 1000]},
        "post_data": "z" * 1001,
    }


def test_a_project_without_private_information_keeps_no_client_data() -> None:
    """Neither the address nor the data that was sent."""
    request = {
        "path": "/",
        "client_ip_address": "203.0.113.9",
        "cookies": {"a": "1"},
        "headers": {"a": ["1"]},
        "post_data": {"a": "1"},
        "query_string": {"a": "1"},
    }

    assert completed(request, DISCREET) == {"path": "/"}


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(
            {"cookies": "a=1", "headers": [["a", "b"]], "query_string": 5, "post_data": None}, id="odd"
        ),
        pytest.param({"post_data": '{"a": ' + "[" * 600 + "]" * 600 + "}"}, id="JSON too deep"),
        pytest.param({"post_data": "{cut off"}, id="invalid JSON"),
        pytest.param({"user_agent": FIREFOX, "data": "text"}, id="data of another type"),
    ],
)
def test_malformed_requests_stay_unchanged(request_: dict[str, Any]) -> None:
    assert completed(request_, STRICT) == request_


@pytest.mark.parametrize(
    ("request_", "path"),
    [
        pytest.param({"http_method": "GET", "path": "/a/b"}, "GET /a/b", id="as known"),
        pytest.param({"http_method": "GET", "path": "a"}, "GET /a", id="without its slash"),
        pytest.param({"path": "/a"}, "/a", id="no method"),
        pytest.param({"http_method": 5, "path": []}, "/", id="nothing"),
    ],
)
def test_a_path_is_the_source_of_a_404(request_: dict[str, Any], path: str) -> None:
    assert method_and_path(request_) == path

"""The rules that derive an event's members from its data, as its row shows them."""

import json
from typing import Any

import pytest

from collector.domain.event.build import Sender, build_event
from collector.domain.event.outcome import DiscardReason, Event
from collector.domain.project.rules import DEFAULT_RULES, ProjectRules
from tests.support.factories import a_post

SENDER = Sender.of(a_post())
SPIDER = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
REQUEST = {"http_method": "GET", "path": "/gone"}
FRAME = {"name": "reserve", "declaring_type": "Stock", "line_number": 5}


def stored(raw: dict[str, Any], project: ProjectRules = DEFAULT_RULES) -> tuple[Event, dict[str, Any]]:
    """The row of a raw event, and its data without members of the server."""
    event = build_event(raw, 0, SENDER, None, project)
    assert isinstance(event, Event)
    data: dict[str, Any] = json.loads(event.data or b"")
    del data["@submission_client"]
    return event, data


def test_a_404_gets_its_source_from_the_request() -> None:
    """Its message, error, machine and trace are dropped."""
    raw = {
        "type": "404",
        "message": "Not found",
        "data": {
            "@environment": {},
            "@trace": ["x"],
            "@error": {},
            "@simple_error": {},
            "@request": REQUEST,
            "a": 1,
        },
    }

    event, data = stored(raw)

    assert (event.source, event.message) == ("GET /gone", None)
    assert data == {"@request": REQUEST, "a": 1}


def test_a_404_keeps_the_clients_source() -> None:
    event, _ = stored({"type": "404", "source": "/a", "message": "m", "data": {"@request": REQUEST}})

    assert (event.source, event.message) == ("/a", "m")


@pytest.mark.parametrize("type_", ["404", "error", "log"])
def test_a_long_source_is_cut(type_: str) -> None:
    """Paths can be long."""
    event, _ = stored(
        {"type": type_, "data": {"@request": {"path": "/" + "x" * 3000}, "@error": {"message": "m" * 3000}}}
    )

    assert len(event.source or "") == (2000 if type_ == "404" else 0)
    assert len(event.message or "") == (2000 if type_ == "error" else 0)


@pytest.mark.parametrize(
    ("name", "target"),
    [
        pytest.param(
            "@error",
            {"ExceptionType": "StockError", "Method": "Stock.reserve()", "Message": "No stock."},
            id="error",
        ),
        pytest.param("@simple_error", {"ExceptionType": "StockError"}, id="simple error"),
    ],
)
def test_an_error_gives_its_message_and_its_target(name: str, target: dict[str, str]) -> None:
    """The message if the event has none; the target in addition to the error's own data."""
    error: dict[str, Any] = {"type": "StockError", "message": "No stock.", "data": {"@ext": {"Line": 5}}}
    if name == "@error":
        error["stack_trace"] = [FRAME]

    event, data = stored({"message": " ", "data": {name: error}})
    own, _ = stored({"message": "own", "data": {name: error}})

    assert (event.type, event.message, own.message) == ("error", "No stock.", "own")
    assert data[name]["data"] == {"@ext": {"Line": 5}, "@target": target}


@pytest.mark.parametrize(
    "error",
    [
        pytest.param({}, id="an empty error"),
        pytest.param({"message": {"a": 1}, "type": 5, "data": "text"}, id="other types"),
        pytest.param({"stack_trace": [None, {"name": None}], "data": [1]}, id="garbage within"),
    ],
)
def test_an_empty_error_stays_unchanged(error: dict[str, Any]) -> None:
    event, data = stored({"data": {"@error": error}})

    assert (event.type, event.message) == ("error", None)
    assert data == {"@error": error}


def test_an_error_in_an_event_of_another_type_is_data() -> None:
    """The sender decides the type."""
    event, data = stored({"type": "usage", "data": {"@error": {"type": "T", "message": "m"}}})

    assert (event.type, event.message, data) == ("usage", None, {"@error": {"type": "T", "message": "m"}})


def test_heartbeats_are_not_stored() -> None:
    """They are not events; clients send them to a separate route."""
    assert build_event({"type": "heartbeat"}, 0, SENDER, None) is DiscardReason.HEARTBEAT


def test_bots_are_discarded_if_the_project_says_so() -> None:
    """Otherwise they are only marked."""

    def raw() -> dict[str, Any]:
        return {"data": {"@request": {"user_agent": SPIDER}}}

    _, data = stored(raw())

    assert data["@request"]["data"]["@is_bot"] is True
    assert build_event(raw(), 0, SENDER, None, ProjectRules(delete_bot_data=True)) is DiscardReason.BOT


def test_excluded_names_are_removed_everywhere() -> None:
    """From the sender's own data, and from errors, users and machines."""
    project = ProjectRules({"@@DataExclusions": "password"})
    known = {"data": {"password": 1, "a": 2}}
    raw = {
        "Password": 1,
        "type": "log",
        "data": {
            "password": 1,
            "order": {"items": [{"password": 1, "id": 5}]},
            "@user": {"identity": "u"} | known,
            "@environment": known,
            "@error": known | {"inner": known},
            "@level": "Info",
        },
    }

    _, data = stored(raw, project)

    left = {"data": {"a": 2}}
    assert data == {
        "order": {"items": [{"id": 5}]},
        "@user": {"identity": "u"} | left,
        "@environment": left,
        "@error": left | {"inner": left},
        "@level": "Info",
    }


def test_a_project_without_private_information_has_no_user() -> None:
    """In no spelling."""
    _, data = stored(
        {"@user": {"Identity": "u"}, "a": 1}, ProjectRules({"@@IncludePrivateInformation": "false"})
    )

    assert data == {"a": 1}

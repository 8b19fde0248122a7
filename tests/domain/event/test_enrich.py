"""The rules about what an event says of itself, as its row shows them."""

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
    """The row of a raw event, and its data without the server's own."""
    event = build_event(raw, 0, SENDER, None, project)
    assert isinstance(event, Event)
    data: dict[str, Any] = json.loads(event.data or b"")
    del data["@submission_client"]
    return event, data


def test_a_404_names_what_was_not_found() -> None:
    """Errors, the machine and traces say nothing about it."""
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


def test_a_404_keeps_the_source_it_has() -> None:
    """The client knows better."""
    event, _ = stored({"type": "404", "source": "/a", "message": "m", "data": {"@request": REQUEST}})

    assert (event.source, event.message) == ("/a", "m")


@pytest.mark.parametrize("type_", ["404", "error", "log"])
def test_a_source_is_cut_however_it_came(type_: str) -> None:
    """A path can be long."""
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
    """The message where the event has none; the target beside what the error's data holds."""
    error: dict[str, Any] = {"type": "StockError", "message": "No stock.", "data": {"@ext": {"Line": 5}}}
    if name == "@error":
        error["stack_trace"] = [FRAME]

    event, data = stored({"message": " ", "data": {name: error}})
    told, _ = stored({"message": "told", "data": {name: error}})

    assert (event.type, event.message, told.message) == ("error", "No stock.", "told")
    assert data[name]["data"] == {"@ext": {"Line": 5}, "@target": target}


@pytest.mark.parametrize(
    "error",
    [
        pytest.param({}, id="an empty error"),
        pytest.param({"message": {"a": 1}, "type": 5, "data": "text"}, id="other types"),
        pytest.param({"stack_trace": [None, {"name": None}], "data": [1]}, id="rubbish within"),
    ],
)
def test_an_error_that_says_nothing_stays_as_it_is(error: dict[str, Any]) -> None:
    """It is stored as it came."""
    event, data = stored({"data": {"@error": error}})

    assert (event.type, event.message) == ("error", None)
    assert data == {"@error": error}


def test_an_error_in_an_event_of_another_type_is_data() -> None:
    """The sender has said what it is."""
    event, data = stored({"type": "usage", "data": {"@error": {"type": "T", "message": "m"}}})

    assert (event.type, event.message, data) == ("usage", None, {"@error": {"type": "T", "message": "m"}})


def test_heartbeats_are_not_stored() -> None:
    """They are no events; clients send them another way."""
    assert build_event({"type": "heartbeat"}, 0, SENDER, None) is DiscardReason.HEARTBEAT


def test_bots_are_discarded_where_the_project_wants_it() -> None:
    """Otherwise they are only marked."""

    def raw() -> dict[str, Any]:
        return {"data": {"@request": {"user_agent": SPIDER}}}

    _, data = stored(raw())

    assert data["@request"]["data"]["@is_bot"] is True
    assert build_event(raw(), 0, SENDER, None, ProjectRules(delete_bot_data=True)) is DiscardReason.BOT


def test_excluded_names_are_in_no_data_of_the_event() -> None:
    """Neither in the sender's own nor in what belongs to an error, the user or the machine."""
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


def test_a_discreet_project_has_no_user() -> None:
    """Not even where it is written differently."""
    _, data = stored(
        {"@user": {"Identity": "u"}, "a": 1}, ProjectRules({"@@IncludePrivateInformation": "false"})
    )

    assert data == {"a": 1}

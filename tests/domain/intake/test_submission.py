"""Events in query strings."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from collector.domain.intake.submission import submitted_event
from collector.domain.project.patterns import Patterns

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("parameters", "event"),
    [
        pytest.param(
            [("type", "usage"), ("source", "build"), ("value", "10")],
            {"type": "usage", "source": "build", "value": Decimal(10)},
            id="a feature",
        ),
        pytest.param([("message", "hi")], {"message": "hi"}, id="a message"),
        pytest.param([("MESSAGE", "hi"), ("Reference", "abcd1234")],
                     {"message": "hi", "reference_id": "abcd1234"}, id="names in any case"),
        pytest.param([("message", "hi"), ("message", "ho")], {"message": "hi"}, id="the first counts"),
        pytest.param(
            [("date", "2026-11-22"), ("count", "2"), ("value", "-1.50"), ("geo", "1,2")],
            {"date": "2026-11-22", "count": Decimal(2), "value": Decimal("-1.50"), "geo": "1,2"},
            id="numbers",
        ),
        pytest.param([("value", "much")], {"value": "much"}, id="a value that is no number stays a text"),
        pytest.param([("value", "9" * 5000)], {"value": "9" * 5000}, id="nor is one without bounds"),
        pytest.param(
            [("date", "Mon, 30 Nov 2026 07:39:00 GMT")], {"date": "2026-11-30T07:39:00+00:00"}, id="a date"
        ),
        pytest.param([("date", "perhaps")], {"date": "perhaps"}, id="an invalid date stays a text"),
        pytest.param([("tags", "a, b,,"), ("tags", "c")], {"tags": ["a", "b", "c"]}, id="tags"),
        pytest.param(
            [("identity", "me@example.com"), ("identity.name", "Me")],
            {"data": {"@user": {"identity": "me@example.com", "name": "Me"}}},
            id="a user",
        ),
        pytest.param(
            [("identityname", "Me")], {"data": {"@user": {"name": "Me"}}}, id="a name as documented"
        ),
        pytest.param(
            [("Color", "red"), ("size", "1"), ("SIZE", "2"), ("size", "")],
            {"data": {"Color": "red", "size": ["1", "2"]}},
            id="anything else is data, a list where repeated",
        ),
    ],
)  # fmt: skip
def test_parameters_become_an_event(parameters: list[tuple[str, str]], event: dict[str, Any]) -> None:
    """Contract 3.7."""
    assert submitted_event(parameters, "", Patterns(), NOW) == event


@pytest.mark.parametrize(
    "parameters",
    [
        pytest.param([], id="none"),
        pytest.param([("access_token", "x"), ("API_KEY", "x"), ("apikey", "x")], id="credentials"),
        pytest.param([("message", ""), ("", "x")], id="empty ones"),
    ],
)
def test_without_usable_parameters_there_is_no_event(parameters: list[tuple[str, str]]) -> None:
    """Even if the path has a type."""
    assert submitted_event(parameters, "usage", Patterns(), NOW) is None


def test_a_type_parameter_overrides_the_path() -> None:
    """As on the official server."""
    assert submitted_event([("message", "hi")], "usage", Patterns(), NOW) == {
        "type": "usage",
        "message": "hi",
    }
    assert submitted_event([("type", "log")], "usage", Patterns(), NOW) == {"type": "log"}


def test_excluded_names_are_left_out() -> None:
    """They must not even be queued."""
    parameters = [("Password", "x"), ("card_number", "1"), ("color", "red"), ("message", "hi")]

    event = submitted_event(parameters, "", Patterns(["password", "card*", "mess*"]), NOW)

    assert event == {"message": "hi", "data": {"color": "red"}}

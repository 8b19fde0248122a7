"""Posts of version 1 become events of version 2."""

import copy
import json
from typing import Any

import pytest

from collector.domain.intake.legacy_v1 import upgrade

CLIENT = {"Version": "1.4.2000", "Platform": ".NET"}


def an_error(**members: Any) -> dict[str, Any]:
    """A legacy error with the usual members."""
    values = {
        "Id": "0123456789abcdef01234567",
        "OccurrenceDate": "2014-05-06T07:08:09.1234567+02:00",
        "Tags": [],
        "ExceptionlessClientInfo": CLIENT,
        "Message": "No stock.",
        "Type": "Shop.StockException",
        "StackTrace": [],
        "Modules": [],
    }
    return copy.deepcopy(values | members)


def test_a_document_becomes_an_event_with_an_error() -> None:
    """The document becomes `@error`; other members keep their meaning."""
    frame = {"Name": "Reserve", "DeclaringType": "Stock", "ExtendedData": {}, "Parameters": [], "ModuleId": 1}
    document = an_error(
        Code="17",
        Tags=["shop"],
        StackTrace=[frame],
        RequestInfo={"Path": "/basket", "QueryString": {}, "ExtendedData": {}},
        EnvironmentInfo={"MachineName": "shop-1", "ExtendedData": {"Zone": "a"}},
        ExtendedData={"Order": 5, "TraceLog": ["one"]},
        ProjectId="p",
        UserName="erika",
        UserEmail="erika@example.org",
        UserDescription="It broke.",
    )

    assert upgrade(document) == {
        "ReferenceId": "0123456789abcdef01234567",
        "Date": "2014-05-06T07:08:09.1234567+02:00",
        "Tags": ["shop"],
        "Message": "No stock.",
        "Type": "error",
        "Data": {"Order": 5, "@trace": ["one"]},
        "@request": {"Path": "/basket", "QueryString": {}},
        "@environment": {"MachineName": "shop-1", "Data": {"Zone": "a"}},
        "@error": {
            "Message": "No stock.",
            "Code": "17",
            "Type": "Shop.StockException",
            "StackTrace": [{"Name": "Reserve", "DeclaringType": "Stock", "ModuleId": 1}],
        },
        "@user": {"identity": "erika"},
        "@user_description": {"email_address": "erika@example.org", "description": "It broke."},
    }


@pytest.mark.parametrize(
    ("version", "name"),
    [
        pytest.param("1.0.0.700", "ExtraExceptionProperties", id="of the first clients"),
        pytest.param("1.0.0.850-beta", "ExceptionInfo", id="of later ones"),
        pytest.param("1.4.2000 abcdef", "__ExceptionInfo", id="of the last ones"),
    ],
)
def test_extra_properties_become_ext(version: str, name: str) -> None:
    """They are JSON within JSON, in the data of the document or of any error."""
    extra = json.dumps({"Number": 5, "Data": {}, "Nothing": None, "Hint": "x"})
    document = an_error(
        ExceptionlessClientInfo={"Version": version},
        ExtendedData={name: extra, "Order": 5},
        Inner={"Message": "inner", "ExtendedData": {name: extra, "Hint": "own"}},
    )

    event = upgrade(document)

    assert event["Data"] == {"Order": 5}
    assert event["@error"]["Data"] == {"@ext": {"Number": 5, "Hint": "x"}}
    assert event["@error"]["Inner"]["Data"] == {"Hint": "own", "@ext": {"Number": 5, "_Hint": "x"}}


@pytest.mark.parametrize("extra", ["no JSON", "[1]", 5, ["a"]])
def test_unreadable_extra_properties_stay(extra: Any) -> None:
    """Nothing that was sent is dropped."""
    event = upgrade(an_error(ExtendedData={"__ExceptionInfo": extra}))

    assert event["@error"]["Data"] == {"__ExceptionInfo": extra}


def test_a_404_with_a_request_is_no_error() -> None:
    """The request says what was not found."""
    document = an_error(
        Code="404",
        RequestInfo={"Path": "/gone", "Cookies": {"": "x", "a": "1"}},
        EnvironmentInfo={"MachineName": "shop-1"},
        ExtendedData={"ExceptionInfo": "{}", "TraceInfo": ["x"], "Order": 5},
        ExceptionlessClientInfo={"Version": "1.0.0.100"},
    )

    event = upgrade(document)

    assert event["Type"] == "404"
    assert event["@request"] == {"Path": "/gone", "Cookies": {"a": "1"}}
    assert event["Data"] == {"Order": 5}
    assert {"@error", "@environment", "Message", "StackTrace", "Code"}.isdisjoint(event)


def test_a_404_without_a_request_keeps_its_error() -> None:
    """Otherwise nothing would describe it."""
    event = upgrade(an_error(Code=404))

    assert (event["Type"], event["@error"]["Code"]) == ("404", 404)


@pytest.mark.parametrize(
    "document",
    [
        pytest.param({"message": "hello", "type": "log"}, id="an event of version 2"),
        pytest.param({}, id="nothing"),
        pytest.param({"Message": "m", "ExceptionlessClientInfo": {"Version": "2.1"}}, id="a later client"),
    ],
)
def test_other_documents_stay_unchanged(document: dict[str, Any]) -> None:
    """Events of version 2 that are posted to the old path are stored."""
    assert upgrade(copy.deepcopy(document)) == document


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(an_error(StackTrace="text", Inner=[1], Modules=5, Tags="a"), id="other types"),
        pytest.param(an_error(ExtendedData=5, RequestInfo="x", EnvironmentInfo=[]), id="no objects"),
        pytest.param(an_error(ExceptionlessClientInfo="x"), id="no client"),
        pytest.param(an_error(ExceptionlessClientInfo={"Version": {}}), id="no version"),
        pytest.param(an_error(ExceptionlessClientInfo={"Version": "9" * 50}), id="a version of any length"),
        pytest.param(
            an_error(
                ExceptionlessClientInfo={"Version": "1.0"}, RequestInfo={"Cookies": 5}, ExtendedData=[1]
            ),
            id="of the first clients",
        ),
    ],
)
def test_malformed_documents_are_upgraded_as_far_as_possible(document: dict[str, Any]) -> None:
    """Whatever they contain, they become events."""
    assert isinstance(upgrade(document), dict)

"""Members of known objects get snake_case names, and no value is lost."""

import copy
from typing import Any

import pytest

from collector.domain.event.known_objects import respell


def respelt(data: dict[str, Any]) -> dict[str, Any]:
    """The data afterwards; the argument is not changed."""
    own = copy.deepcopy(data)
    respell(own)
    return own


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        pytest.param(
            {"@user": {"Identity": "erika", "Name": "Erika", "Data": {"Team": 5}}},
            {"@user": {"identity": "erika", "name": "Erika", "data": {"Team": 5}}},
            id="PascalCase; the sender's own data stays as it is",
        ),
        pytest.param(
            {"@environment": {"processorCount": 8, "OSName": "Linux", "osVersion": "6", "os_name": "x"}},
            {"@environment": {"processor_count": 8, "o_s_name": "Linux", "o_s_version": "6", "os_name": "x"}},
            id="camelCase, and the system's name as it is on the wire",
        ),
        pytest.param(
            {"@request": {"UserAgent": "a", "user_agent": "b", "HTTPMETHOD": "GET"}},
            {"@request": {"UserAgent": "a", "user_agent": "b", "http_method": "GET"}},
            id="a name that is taken",
        ),
        pytest.param(
            {"@request": {"Path": "/a", "path": None}}, {"@request": {"path": "/a"}}, id="taken by null"
        ),
        pytest.param(
            {"@user_description": {"EmailAddress": "a@b.c", "Mood": "fine"}},
            {"@user_description": {"email_address": "a@b.c", "Mood": "fine"}},
            id="an unknown name",
        ),
        pytest.param(
            {"@stack": {"Title": "t", "SignatureData": {"Key": "v"}}},
            {"@stack": {"title": "t", "signature_data": {"Key": "v"}}},
            id="manual stacking",
        ),
        pytest.param({"Data": {"UserAgent": "a"}}, {"Data": {"UserAgent": "a"}}, id="an unknown object"),
        pytest.param({"@user": None, "@error": None}, {"@user": None, "@error": None}, id="nothing"),
        pytest.param(
            {"@user": {"identity": 5, "name": [1]}}, {"@user": {"identity": 5, "name": [1]}}, id="odd"
        ),
        pytest.param(
            {"@simple_error": {"StackTrace": "at f", "Inner": {"StackTrace": "at g"}}},
            {"@simple_error": {"stack_trace": "at f", "inner": {"stack_trace": "at g"}}},
            id="a simple error",
        ),
    ],
)
def test_members_are_renamed(sent: dict[str, Any], kept: dict[str, Any]) -> None:
    """Whatever spelling the sender's language uses."""
    assert respelt(sent) == kept
    assert respelt(kept) == kept


def test_an_error_is_renamed_at_every_depth() -> None:
    """Frames, parameters, target, modules and causes."""
    frame = {
        "DeclaringType": "Basket",
        "Name": "Load",
        "Parameters": [{"Name": "id", "TypeNamespace": "Shop"}, 5],
    }
    kept_frame = {
        "declaring_type": "Basket",
        "name": "Load",
        "parameters": [{"name": "id", "type_namespace": "Shop"}, 5],
    }
    error = {
        "StackTrace": [frame, None, "text"],
        "TargetMethod": frame,
        "Modules": [{"ModuleId": 1, "Odd": 2}],
    }
    kept = {
        "stack_trace": [kept_frame, None, "text"],
        "target_method": kept_frame,
        "modules": [{"module_id": 1, "Odd": 2}],
    }

    assert respelt({"@error": {"type": "T", "inner": {"inner": error}}}) == {
        "@error": {"type": "T", "inner": {"inner": kept}}
    }


def test_a_long_chain_of_causes_is_renamed_to_its_end() -> None:
    """Without recursion, so any length works."""
    error: dict[str, Any] = {"StackTrace": []}
    for _ in range(500):
        error = {"message": "outer", "inner": error}
    data = {"@error": error}

    respell(data)

    while "inner" in error:
        error = error["inner"]
    assert error == {"stack_trace": []}

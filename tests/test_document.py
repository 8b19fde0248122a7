"""The OpenAPI document as a whole: valid, complete, and consistent with the routes."""

import re
from collections import Counter
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from collector.api.app import ROUTES as API_ROUTES
from collector.ingest.routes import ROUTES as INGEST_ROUTES
from tests.support.documented import DOCUMENT, check_answer
from tests.support.unmet_answers import path_template, unmet_answers

OPERATIONS = {
    f"{method.upper()} {path}": operation
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
}


def test_the_document_is_valid() -> None:
    """By the rules of OpenAPI 3.1."""
    assert list(OpenAPIV31SpecValidator(DOCUMENT).iter_errors()) == []


def test_the_document_has_exactly_the_served_routes() -> None:
    """A new route needs `documented`."""
    served = Counter((route.method, path_template(route.path)) for route in INGEST_ROUTES)
    served += Counter((route.method, route.template) for route in API_ROUTES)
    written = Counter(
        (method.upper(), path) for path, operations in DOCUMENT["paths"].items() for method in operations
    )

    assert written == served


def test_operation_ids_are_unique() -> None:
    """Generated clients name their methods after them."""
    names = [operation["operationId"] for operation in OPERATIONS.values()]

    assert [name for name, count in Counter(names).items() if count > 1] == []
    assert all(re.fullmatch("[a-z]+V[12][A-Za-z]+", name) for name in names)


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_every_operation_is_described(operation: dict[str, Any]) -> None:
    """What it does, who may call it, its parameters and its answers."""
    assert operation["summary"].endswith(".")
    assert "Needs " in operation["description"]
    assert all(parameter["description"] for parameter in operation["parameters"])
    assert all(answer["description"] for answer in operation["responses"].values())
    assert "503" in operation["responses"]
    # 501 alone: what the official server has and we do not.
    assert any(status.startswith("2") or status == "501" for status in operation["responses"])


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_examples_match_their_schemas(operation: dict[str, Any]) -> None:
    """Those of bodies and of parameters."""
    contents = operation.get("requestBody", {}).get("content", {}).values()
    pairs = [(content["schema"], value) for content in contents for value in _examples(content)]
    pairs += [(one["schema"], one["example"]) for one in operation["parameters"] if "example" in one]
    for schema, value in pairs:
        whole = {**schema, "components": DOCUMENT["components"]}
        assert [error.message for error in Draft202012Validator(whole).iter_errors(value)] == []


@pytest.mark.parametrize(
    ("status", "content_type", "body"),
    [
        pytest.param(418, "application/problem+json", b"{}", id="a status"),
        pytest.param(200, "text/html", b"<p>", id="a content type"),
        pytest.param(200, "application/json", b'{"token":"x","secret":"y"}', id="an unknown member"),
        pytest.param(200, "application/json", b"{}", id="a missing member"),
    ],
)
def test_an_undocumented_answer_fails_the_test_that_gets_it(
    status: int, content_type: str, body: bytes
) -> None:
    with pytest.raises(AssertionError):
        check_answer("POST", "/api/v2/auth/login?x=y", status, content_type, body)


def test_a_documented_answer_that_never_came_is_reported() -> None:
    """At the end of a run of all tests of ingest and the api."""
    everything = {
        (method.upper(), path, int(status))
        for path, operations in DOCUMENT["paths"].items()
        for method, operation in operations.items()
        for status in operation["responses"]
    }
    health = {answer for answer in everything if answer[1] == "/api/v2/auth/login" and answer[2] == 401}

    assert unmet_answers(everything) == []
    assert len(unmet_answers(everything - health)) == len(health) == 1


def _examples(content: dict[str, Any]) -> list[Any]:
    found = [content["example"]] if "example" in content else []
    return found + [example["value"] for example in content.get("examples", {}).values()]

"""The document as a whole: valid, complete, and of one piece with the routes."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from collector.api import document as of_the_api
from collector.api.app import ROUTES as OF_THE_API
from collector.http.errors import STATUS
from collector.ingest import document as of_ingest
from collector.ingest.routes import ROUTES as OF_THE_DOOR
from tests.support.documented import DOCUMENT, MET, check_answer

TESTS = Path(__file__).parent

OPERATIONS = {
    f"{method.upper()} {path}": operation
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
}


def test_it_is_valid() -> None:
    """By the rules of OpenAPI 3.1."""
    assert list(OpenAPIV31SpecValidator(DOCUMENT).iter_errors()) == []


def test_every_route_is_in_it_and_nothing_else() -> None:
    """A new route needs `documented`."""
    served = Counter((route.method, _template(route.path)) for route in OF_THE_DOOR)
    served += Counter((route.method, route.template) for route in OF_THE_API)
    written = Counter(
        (method.upper(), path) for path, operations in DOCUMENT["paths"].items() for method in operations
    )

    assert written == served


def _template(pattern: str) -> str:
    resource: web.Resource = web.UrlDispatcher().add_resource(pattern)
    return resource.canonical


def test_no_two_operations_have_one_name() -> None:
    """Programs that are made from the document call them by it."""
    names = [operation["operationId"] for operation in OPERATIONS.values()]

    assert [name for name, count in Counter(names).items() if count > 1] == []
    assert all(re.fullmatch("[a-z]+V[12][A-Za-z]+", name) for name in names)


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_an_operation_can_be_followed_by_a_person(operation: dict[str, Any]) -> None:
    """It says what it does, who may, what goes in and what comes out."""
    assert operation["summary"].endswith(".")
    assert "Needs " in operation["description"]
    assert all(parameter["description"] for parameter in operation["parameters"])
    assert all(answer["description"] for answer in operation["responses"].values())
    assert "503" in operation["responses"]
    assert any(status.startswith("2") for status in operation["responses"])


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_an_example_is_as_its_own_schema_says(operation: dict[str, Any]) -> None:
    """Of bodies and of parameters."""
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
        pytest.param(200, "text/html", b"<p>", id="a type"),
        pytest.param(200, "application/json", b'{"token":"x","secret":"y"}', id="a member"),
        pytest.param(200, "application/json", b"{}", id="a member less"),
    ],
)
def test_an_answer_that_is_not_documented_is_noticed(status: int, content_type: str, body: bytes) -> None:
    """By whichever test gets it."""
    with pytest.raises(AssertionError):
        check_answer("POST", "/api/v2/auth/login?x=y", status, content_type, body)


@pytest.mark.last
def test_every_answer_that_is_documented_has_come(request: pytest.FixtureRequest) -> None:
    """In a run of all tests of ingest and the api: what an operation says of itself, some test has met."""
    collected = {item.path for item in request.session.items}
    if not all(collected.issuperset((TESTS / part).rglob("test_*.py")) for part in ("api", "ingest")):
        pytest.skip("not all tests of the api and ingest are in this run")
    if request.config.option.keyword or request.config.option.markexpr:
        pytest.skip("only some of the tests are in this run")

    missing = [
        f"{name} {status}"
        for name, (places, statuses) in _own_answers().items()
        for status in statuses
        if not any((method, template, status) in MET for method, template in places)
    ]
    assert missing == []


def _own_answers() -> dict[str, tuple[set[tuple[str, str]], set[int]]]:
    """What each handler says that it answers and refuses, and where it is asked."""
    found: dict[str, tuple[set[tuple[str, str]], set[int]]] = {}
    for route in (*of_ingest.documented_routes(), *of_the_api.documented_routes()):
        operation, place = route.operation, (route.method, _template(route.pattern))
        statuses = {*operation.answers, *(int(STATUS[refusal]) for refusal in operation.refusals)}
        found.setdefault(operation.description, (set(), statuses))[0].add(place)
    return found


def _examples(content: dict[str, Any]) -> list[Any]:
    found = [content["example"]] if "example" in content else []
    return found + [example["value"] for example in content.get("examples", {}).values()]

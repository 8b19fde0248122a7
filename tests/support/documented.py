"""Checks every answer that tests get from ingest and the api against the OpenAPI document.

It records each answer seen, so that the last test of a run can list documented answers that never came.
"""

import re
from functools import cache
from http import HTTPStatus
from typing import Any, Final

import msgspec
from jsonschema import Draft202012Validator
from yarl import URL

from collector.document import whole_document

DOCUMENT: Final = msgspec.json.decode(msgspec.json.encode(whole_document()))
"""The document as it is served."""

MET: Final[set[tuple[str, str, int]]] = set()
"""Method, path of the document and status of each answer that was as documented."""


def check_answer(method: str, url: str, status: int, content_type: str, body: bytes) -> None:
    """Fail for an undocumented answer; ignore requests that match no operation."""
    template = _template_of(method, URL(url).path)
    operation = DOCUMENT["paths"].get(template, {}).get(method.lower())
    if (
        operation is None or status == HTTPStatus.INTERNAL_SERVER_ERROR
    ):  # a bug, not an answer of the operation
        return
    answer = operation["responses"].get(str(status))
    assert answer is not None, f"{method} {template} answered {status}, undocumented: {body[:300]!r}"
    contents = answer.get("content", {})
    if contents or body:
        media_type = content_type.partition(";")[0]
        assert media_type in contents, f"{method} {template} answered {status} with {media_type or 'no'} body"
        value = (
            msgspec.json.decode(body)
            if "json" in media_type and "ndjson" not in media_type
            else body.decode()
        )
        errors = list(_validator(template, method, status, media_type).iter_errors(value))
        assert errors == [], f"{method} {template} {status}: {errors[0].message} at {errors[0].json_path}"
    MET.add((method, template, status))


def _template_of(method: str, path: str) -> str:
    fitting = (template for template, pattern in _patterns().items() if pattern.fullmatch(path))
    return next((template for template in fitting if method.lower() in DOCUMENT["paths"][template]), "")


@cache
def _patterns() -> dict[str, re.Pattern[str]]:
    """Patterns of the paths, those with the fewest parameters first."""
    return {
        template: re.compile(_pattern(template, operations))
        for template, operations in sorted(DOCUMENT["paths"].items(), key=lambda item: item[0].count("{"))
    }


def _pattern(template: str, operations: dict[str, Any]) -> str:
    operation = next(iter(operations.values()))
    for parameter in operation["parameters"]:
        if parameter["in"] == "path":
            expression = parameter["schema"]["pattern"].strip("^$")
            template = template.replace(f"{{{parameter['name']}}}", f"(?:{expression})")
    return template


@cache
def _validator(template: str, method: str, status: int, media_type: str) -> Draft202012Validator:
    answer = DOCUMENT["paths"][template][method.lower()]["responses"][str(status)]
    schema = answer["content"][media_type]["schema"]
    return Draft202012Validator({**schema, "components": {"schemas": _closed_schemas()}})


@cache
def _closed_schemas() -> dict[str, Any]:
    """Schemas that allow no undocumented members: answers must not have any, requests may."""
    return {
        name: {**schema, "additionalProperties": False} if "properties" in schema else schema
        for name, schema in DOCUMENT["components"]["schemas"].items()
    }

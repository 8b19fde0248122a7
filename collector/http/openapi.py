"""Builds the OpenAPI 3.1 document from routes whose handlers declare what they do (`operation.py`)."""

import re
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import msgspec

from collector.domain.errors import Refusal
from collector.http.errors import PROBLEM_TYPE, RETRY_AFTER, STATUS, Problem
from collector.http.operation import Operation, Parameter

_OLD: Final = "/api/v1/"
"""Routes for existing clients, shown as deprecated; new clients use version 2."""

_REFERENCE: Final = "#/components/schemas/{name}"

_INFO: Final = {
    "title": "Headrace API",
    "version": "v2",
    "description": (
        "Collects events and returns them. It implements the Exceptionless API.\n\n"
        "**Try it**: open `POST /api/v2/auth/login` below, *Try it out*, fill in your address and password, "
        "*Execute*. Give the token from the answer to *Authorize*, under Bearer. With it, "
        "`POST /api/v2/events` sends the example to the first of your projects, `GET /api/v2/events` reads "
        "it back, and `POST /api/v2/projects/{projectId}/tokens` makes a token for a program."
    ),
    "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
}
_TAGS: Final = {
    "Auth": "Logging in and out, signing up, passwords.",
    "Token": "Access for programs. Only a logged-in user can create, list or revoke them.",
    "Event": "Posted by clients, read by people and programs.",
    "Stack": "Events that are occurrences of the same thing.",
    "Project": "What events belong to, and the settings of its clients.",
    "Organization": "What projects and users belong to.",
    "User": "The people who log in.",
    "Status": "What this installation runs.",
    "Admin": "For users who may do everything.",
}
_SECURITY_SCHEMES: Final = {
    "Bearer": {"type": "http", "scheme": "bearer", "description": "A token from a login, or of a program."},
    "Basic": {
        "type": "http",
        "scheme": "basic",
        "description": "`client` and a token; or, to read and manage, an e-mail address and a password.",
    },
    "Token": {
        "type": "apiKey",
        "in": "query",
        "name": "access_token",
        "description": "The same token in the query string, for clients that cannot send headers.",
    },
}
_HEADERS: Final[Mapping[str, tuple[str, type]]] = {
    "Link": ('The pages before and after, as `<url>; rel="previous"` and `rel="next"`.', str),
    "Location": ("The address of what was created.", str),
    "Preference-Applied": ("`handling=strict` if the post was validated first.", str),
    "X-Exceptionless-ConfigVersion": ("The version of the project's settings.", int),
    "X-Result-Count": ("The number of results on all pages.", int),
    "X-Headrace-Filter-Warning": (
        "Why the filter probably finds nothing as written: unknown fields, for example.",
        str,
    ),
    "X-Headrace-Partial": (
        "The dates that could not be searched in time, as `begin/end`, if there are some.",
        str,
    ),
    "X-Headrace-Estimated": ("`true` if numbers are estimated from a sample.", str),
    RETRY_AFTER: ("How many seconds to wait before repeating the request.", int),
    "v": ("The version of the project's settings.", int),
}
_IN_PATHS: Final = {
    "id": "The id.",
    "ids": "One id, or several separated by commas.",
    "projectId": "The project.",
    "organizationId": "The organization.",
    "stackId": "The stack.",
    "sessionId": "The session.",
    "referenceId": "The reference id that the event was sent with.",
    "email": "An e-mail address.",
    "type": "The event's type.",
}


class DocumentedRoute(NamedTuple):
    """A route with the refusals of every route of its process, and the access that it needs."""

    method: str
    pattern: str
    operation: Operation
    refusals: Sequence[type[Refusal]]
    needs: str
    is_open: bool = False
    """Whether it needs no credentials."""


def openapi(routes: Iterable[DocumentedRoute]) -> dict[str, Any]:
    """Build the document, as plain values."""
    schemas = _Schemas()
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        template, in_path = _template(route.pattern)
        paths.setdefault(template, {})[route.method.lower()] = _operation(route, template, in_path, schemas)
    used = {operation["tags"][0] for path in paths.values() for operation in path.values()}
    return {
        "openapi": "3.1.1",
        "info": _INFO,
        # The address that served this document, also behind a proxy.
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items() if name in used],
        "paths": paths,
        "components": {"schemas": schemas.components, "securitySchemes": _SECURITY_SCHEMES},
    }


class _Schemas:
    """The schemas of types; named ones are collected in `components`."""

    def __init__(self) -> None:
        self.components: dict[str, Any] = {}

    def add(self, kind: Any) -> dict[str, Any]:
        (schema,), named = msgspec.json.schema_components([kind], ref_template=_REFERENCE)
        self.components.update(named)
        return schema


def _operation(
    route: DocumentedRoute, template: str, in_path: Mapping[str, str], schemas: _Schemas
) -> dict[str, Any]:
    operation = route.operation
    described: dict[str, Any] = {
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": f"{operation.description}\n\n{route.needs}",
        "operationId": _operation_id(route.method, template),
        "parameters": [
            *(
                {
                    "name": name,
                    "in": "path",
                    "required": True,
                    "description": _IN_PATHS[name],
                    "schema": {"type": "string", "pattern": f"^{pattern}$"},
                }
                for name, pattern in in_path.items()
            ),
            *(_parameter(parameter, schemas) for parameter in operation.parameters),
        ],
    }
    if operation.body is not None:
        contents: dict[str, Any] = {}
        for media_type, content in operation.body.contents.items():
            contents[media_type] = {"schema": schemas.add(content.kind)}
            # A single example, or several by name.
            if len(content.examples) == 1:
                contents[media_type]["example"] = next(iter(content.examples.values()))
            else:
                examples = {name: {"value": value} for name, value in content.examples.items()}
                contents[media_type]["examples"] = examples
        described["requestBody"] = {"required": operation.body.is_required, "content": contents}
    if template.startswith(_OLD):
        described["deprecated"] = True
    described["responses"] = _responses(route, schemas)
    described["security"] = [] if route.is_open else [{name: []} for name in _SECURITY_SCHEMES]
    return described


def _parameter(parameter: Parameter, schemas: _Schemas) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": parameter.name,
        "in": parameter.location,
        "required": parameter.is_required,
        "description": parameter.description,
        "schema": schemas.add(parameter.kind),
    }
    # The API page fills in examples and sends them: only required parameters may have one.
    if parameter.is_required and parameter.example is not None:
        described["example"] = parameter.example
    elif parameter.example is not None:
        described["description"] += f" For example `{parameter.example}`."
    return described


def _responses(route: DocumentedRoute, schemas: _Schemas) -> dict[str, Any]:
    responses: dict[str, dict[str, Any]] = {}
    for code, answer in route.operation.answers.items():
        answered: dict[str, Any] = {"description": answer.description or HTTPStatus(code).phrase}
        if answer.kind is not None:
            answered["content"] = {answer.media_type: {"schema": schemas.add(answer.kind)}}
            answered["content"] |= {name: {"schema": schemas.add(str)} for name in answer.more_types}
        if answer.headers:
            answered["headers"] = _headers(answer.headers, schemas)
        responses[str(code)] = answered
    # A status may stand for several refusals, and for an answer as well: it lists all their sentences.
    where = f"{route.method} {_template(route.pattern)[0]}"
    schema = schemas.add(Problem)
    for refusal in (*route.operation.refusals, *route.refusals):
        status = STATUS[refusal]
        described = responses.setdefault(str(int(status)), {"description": _sentence(refusal)})
        if _sentence(refusal) not in described["description"]:
            described["description"] += f" Or: {_sentence(refusal)}"
        example = msgspec.to_builtins(Problem.build(status, _sentence(refusal), where))
        described.setdefault("content", {})[PROBLEM_TYPE] = {"schema": schema, "example": example}
        if refusal.default_retry_after_seconds is not None:
            described["headers"] = _headers([RETRY_AFTER], schemas)
    return dict(sorted(responses.items()))


def _headers(names: Iterable[str], schemas: _Schemas) -> dict[str, Any]:
    return {
        name: {"description": _HEADERS[name][0], "schema": schemas.add(_HEADERS[name][1])} for name in names
    }


def _sentence(refusal: type[Refusal]) -> str:
    return refusal().title


def _template(pattern: str) -> tuple[str, dict[str, str]]:
    """`/projects/{id:[a-z]{24}}` as `/projects/{id}`, and the expressions by name; braces nest once."""
    in_path: dict[str, str] = {}

    def keep(found: re.Match[str]) -> str:
        in_path[found[1]] = found[2]
        return f"{{{found[1]}}}"

    return re.sub(r"\{(\w+):((?:[^{}]|\{[^{}]*\})+)\}", keep, pattern), in_path


def _operation_id(method: str, template: str) -> str:
    """`getV2ProjectsByIdConfig`: made from the path, so that it is unique."""
    words = [
        f"by-{part.strip('{}')}" if part.startswith("{") else part for part in template.split("/")[2:] if part
    ]
    parts = [part for word in words for part in word.split("-")]
    return method.lower() + "".join(part[:1].upper() + part[1:] for part in parts)

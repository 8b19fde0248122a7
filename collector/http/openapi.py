"""The OpenAPI 3.1 document of any routes whose handlers say what they do; nothing is written down twice."""

import re
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import msgspec

from collector.domain.errors import Refusal
from collector.http.errors import PROBLEM_TYPE, RETRY_AFTER, STATUS, Problem
from collector.http.operation import Answer, Body, Content, Operation, Parameter

_OLD: Final = "/api/v1/"
"""For clients that are out there; whoever writes a new one takes version 2."""

_REFERENCE: Final = "#/components/schemas/{name}"

_INFO: Final = {
    "title": "Headrace API",
    "version": "v2",
    "description": (
        "Collects events and gives them back. It speaks the Exceptionless API.\n\n"
        "**Try it**: open `POST /api/v2/auth/login` below, *Try it out*, fill in your address and password, "
        "*Execute*. Give the token from the answer to *Authorize*, under Bearer. With it, "
        "`POST /api/v2/events` sends the example to the first of your projects, `GET /api/v2/events` reads "
        "it back, and `POST /api/v2/projects/{projectId}/tokens` makes a token for a program."
    ),
    "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
}
_TAGS: Final = {
    "Auth": "Logging in and out, signing up, passwords.",
    "Token": "Proof of access for programs. Only a login makes, lists or ends them.",
    "Event": "Posted by clients, read back by people and programs.",
    "Stack": "Events that are the same thing happening again.",
    "Project": "What events belong to, and the settings that its clients obey.",
    "Organization": "Who projects belong to, and its people.",
    "User": "People.",
    "Status": "What runs here.",
    "Admin": "For those who may do everything.",
}
_SECURITY_SCHEMES: Final = {
    "Bearer": {"type": "http", "scheme": "bearer", "description": "A token, of a login or of a program."},
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
    "Location": ("Where what was made is.", str),
    "Preference-Applied": ("`handling=strict` where the post was checked.", str),
    "X-Exceptionless-ConfigVersion": ("The version of the project's settings.", int),
    "X-Result-Count": ("How many there are on all pages.", int),
    "X-Headrace-Filter-Warning": (
        "What the filter probably means where it finds nothing as it stands: unknown fields, for instance.",
        str,
    ),
    RETRY_AFTER: ("In how many seconds to repeat it.", int),
    "v": ("The version of the project's settings.", int),
}
_IN_PATHS: Final = {
    "id": "Which one.",
    "ids": "One id, or several with commas between them.",
    "projectId": "The project.",
    "organizationId": "The organization.",
    "stackId": "The stack.",
    "sessionId": "The session.",
    "referenceId": "The reference id that the event was sent with.",
    "email": "An e-mail address.",
    "type": "The event's type.",
}


class DocumentedRoute(NamedTuple):
    """A route as the router takes it, with what every route of its kind refuses, and whom."""

    method: str
    pattern: str
    operation: Operation
    refusals: Sequence[type[Refusal]]
    needs: str
    is_open: bool = False
    """Whether it takes no credentials."""


def openapi(routes: Iterable[DocumentedRoute]) -> dict[str, Any]:
    """The document, as plain values."""
    schemas = _Schemas()
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        template, in_path = _template(route.pattern)
        paths.setdefault(template, {})[route.method.lower()] = _operation(route, template, in_path, schemas)
    used = {operation["tags"][0] for path in paths.values() for operation in path.values()}
    return {
        "openapi": "3.1.1",
        "info": _INFO,
        # Whichever address the reader has this document from, behind a proxy, too.
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items() if name in used],
        "paths": paths,
        "components": {"schemas": schemas.components, "securitySchemes": _SECURITY_SCHEMES},
    }


class _Schemas:
    """The schemas of types; named ones are kept apart."""

    def __init__(self) -> None:
        self.components: dict[str, Any] = {}

    def of(self, kind: Any) -> dict[str, Any]:
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
            *(_in_path(name, pattern) for name, pattern in in_path.items()),
            *(_parameter(parameter, schemas) for parameter in operation.parameters),
        ],
    }
    if operation.body is not None:
        described["requestBody"] = _body(operation.body, schemas)
    if template.startswith(_OLD):
        described["deprecated"] = True
    described["responses"] = _responses(route, schemas)
    described["security"] = [] if route.is_open else [{name: []} for name in _SECURITY_SCHEMES]
    return described


def _in_path(name: str, pattern: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": _IN_PATHS[name],
        "schema": {"type": "string", "pattern": f"^{pattern}$"},
    }


def _parameter(parameter: Parameter, schemas: _Schemas) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.is_required,
        "description": parameter.description,
        "schema": schemas.of(parameter.kind),
    }
    if parameter.is_required and parameter.example is not None:
        described["example"] = parameter.example
    elif parameter.example is not None:
        # In words only: the API page fills in whatever is an example, and sends it.
        described["description"] += f" For example `{parameter.example}`."
    return described


def _body(body: Body, schemas: _Schemas) -> dict[str, Any]:
    contents = {}
    for media_type, content in body.contents.items():
        contents[media_type] = {"schema": schemas.of(content.kind), **_examples(content)}
    return {"required": body.is_required, "content": contents}


def _examples(content: Content) -> dict[str, Any]:
    """One on its own, or a choice."""
    if len(content.examples) == 1:
        return {"example": next(iter(content.examples.values()))}
    return {"examples": {name: {"value": value} for name, value in content.examples.items()}}


def _responses(route: DocumentedRoute, schemas: _Schemas) -> dict[str, Any]:
    responses = {
        str(status): _response(status, answer, schemas) for status, answer in route.operation.answers.items()
    }
    where = f"{route.method} {_template(route.pattern)[0]}"
    schema = schemas.of(Problem)
    for refusal in (*route.operation.refusals, *route.refusals):
        status = STATUS[refusal]
        found = responses.setdefault(str(int(status)), {"description": _sentence(refusal)})
        if _sentence(refusal) not in found["description"]:
            found["description"] += f" Or: {_sentence(refusal)}"
        example = msgspec.to_builtins(Problem.of(status, _sentence(refusal), where))
        found.setdefault("content", {})[PROBLEM_TYPE] = {"schema": schema, "example": example}
        if refusal.default_retry_after_seconds is not None:
            found["headers"] = _headers([RETRY_AFTER], schemas)
    return dict(sorted(responses.items()))


def _response(status: int, answer: Answer, schemas: _Schemas) -> dict[str, Any]:
    described: dict[str, Any] = {"description": answer.description or HTTPStatus(status).phrase}
    if answer.kind is not None:
        described["content"] = {"application/json": {"schema": schemas.of(answer.kind)}}
    if answer.headers:
        described["headers"] = _headers(answer.headers, schemas)
    return described


def _headers(names: Iterable[str], schemas: _Schemas) -> dict[str, Any]:
    return {
        name: {"description": _HEADERS[name][0], "schema": schemas.of(_HEADERS[name][1])} for name in names
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
    """`getV2ProjectsByIdConfig`: made of the path, so that no two are the same."""
    words = [
        f"by-{part.strip('{}')}" if part.startswith("{") else part for part in template.split("/")[2:] if part
    ]
    parts = [part for word in words for part in word.split("-")]
    return method.lower() + "".join(part[:1].upper() + part[1:] for part in parts)

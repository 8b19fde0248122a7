"""Types of the api's answers for the web app, from the OpenAPI document: `web/src/api_types.ts`."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from collector.document import whole_document

_HEAD: Final = """\
// Types of the api's answers, from its OpenAPI document. `make web` writes this file; do not edit it.
// A member that may be missing has a question mark. Dates are texts in ISO 8601.
export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };
export type Data = { [name: string]: Json };
"""
_REFERENCE: Final = "#/components/schemas/"
_PRIMITIVES: Final = {
    "string": "string",
    "integer": "number",
    "number": "number",
    "boolean": "boolean",
    "null": "null",
}


def api_types() -> str:
    """The source of the types, with a line for each schema that some answer has."""
    document = whole_document()
    schemas = document["components"]["schemas"]
    answers = (
        operation["responses"]
        for operations in document["paths"].values()
        for operation in operations.values()
    )
    wanted: set[str] = set()
    waiting = [name for responses in answers for name in _references(responses)]
    while waiting:
        name = waiting.pop()
        if name not in wanted:
            wanted.add(name)
            waiting += _references(schemas[name])
    return _HEAD + "".join(_declaration(name, schemas[name]) for name in sorted(wanted))


def _references(value: Any) -> Iterator[str]:
    match value:
        case {"$ref": str(reference)}:
            yield reference.removeprefix(_REFERENCE)
        case Mapping():
            for each in value.values():
                yield from _references(each)
        case list():
            for each in value:
                yield from _references(each)


def _declaration(name: str, schema: Mapping[str, Any]) -> str:
    if "properties" not in schema:
        return f"export type {name} = {_type(schema)};\n"
    required = schema.get("required", ())
    members = (
        f"{member}{'?' if _may_be_missing(member, value, required) else ''}: {_type(value)}"
        for member, value in schema["properties"].items()
    )
    return f"export interface {name} {{ {'; '.join(members)} }}\n"


def _may_be_missing(member: str, schema: Mapping[str, Any], required: Any) -> bool:
    # Answers leave out null members only: others with a default are always there.
    return member not in required and schema.get("default") is None


def _type(schema: Mapping[str, Any]) -> str:
    match schema:
        case {"$ref": str(reference)}:
            found = reference.removeprefix(_REFERENCE)
        case {"anyOf": list(choices)}:
            found = " | ".join(map(_type, choices))
        case {"enum": list(values)}:
            found = " | ".join(map(json.dumps, values))
        case {"type": "array"}:
            inner = _type(schema.get("items", {}))
            found = f"({inner})[]" if "|" in inner else f"{inner}[]"
        case {"type": "object"}:
            members = schema.get("additionalProperties")
            found = f"Record<string, {_type(members)}>" if members else "Data"
        case {"type": str(name)}:
            found = _PRIMITIVES[name]
        case _:
            found = "Json"
    return found

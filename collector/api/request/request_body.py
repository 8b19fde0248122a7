"""Request bodies: JSON into a Struct, with every fault named.

Names are snake_case in any case (contract 0); null is the same as absent where a field cannot be null.
"""

import asyncio
from collections.abc import Iterator
from types import NoneType
from typing import Annotated, Any, Final, TypeVar, get_args, get_type_hints

import msgspec
from aiohttp import hdrs, web
from aiohttp.web_protocol import RequestPayloadError
from msgspec import Meta

from collector.domain.errors import BadRequest, Invalid, UnsupportedContent

_READ_SECONDS: Final = 15.0

AnyBody = TypeVar("AnyBody", bound=msgspec.Struct)

ObjectId = Annotated[
    str, Meta(pattern=r"^[a-zA-Z0-9]{24,36}$", description="an id of 24 to 36 letters and digits")
]

EXAMPLE_ID: Final = "01a00000000070008000000000000001"
"""Stands for an id in examples of bodies."""


async def read_body(request: web.Request, kind: type[AnyBody], *, is_required: bool = False) -> AnyBody:
    """The body as `kind`; an absent one counts as `{}`, unless it or a field of it is required.

    Raises UnsupportedContent for what is not plain JSON, BadRequest for what cannot be parsed or is missing,
    Invalid with the faults of all fields.
    """
    body = await _read(request)
    fields = msgspec.structs.fields(kind)
    if not body:
        if is_required or any(field.required for field in fields):
            raise BadRequest("A body with JSON is required.")
        return kind()
    _check_type(request)
    return converted(_members(body), kind)


def converted(members: dict[str, Any], kind: type[AnyBody]) -> AnyBody:
    """Plain values as `kind`; raises Invalid with the faults of all fields."""
    hints = get_type_hints(kind, include_extras=True)
    values: dict[str, Any] = {}
    faults: dict[str, list[str]] = {}
    for field in msgspec.structs.fields(kind):
        if _is_absent(members, field.name, hints[field.name]):
            if field.required:
                faults[field.name] = [f"The {field.name} field is required."]
            continue
        try:
            values[field.name] = msgspec.convert(members[field.name], hints[field.name])
        except msgspec.ValidationError as error:
            faults[field.name] = [_fault(field.name, hints[field.name], error)]
    if faults:
        raise Invalid(fields=faults)
    return kind(**values)


async def _read(request: web.Request) -> bytes:
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
        raise UnsupportedContent("This path takes no compressed body.")
    try:
        async with asyncio.timeout(_READ_SECONDS):
            return await request.read()
    except TimeoutError:
        raise BadRequest(f"The body did not arrive within {_READ_SECONDS:.0f} seconds.") from None
    except (RequestPayloadError, ConnectionResetError):  # also of a client that has left: nobody reads it
        raise BadRequest("The body was cut off or badly chunked.") from None


def _check_type(request: web.Request) -> None:
    if request.content_type != "application/json":
        raise UnsupportedContent("The Content-Type must be application/json.")


def _members(body: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"The body is not valid JSON: {error}.") from None
    if not isinstance(value, dict):
        raise BadRequest("The body must be a JSON object.")
    return {name.lower(): member for name, member in value.items()}


def _is_absent(members: dict[str, Any], name: str, hint: Any) -> bool:
    return members.get(name) is None and (name not in members or NoneType not in _parts(hint))


def _fault(name: str, hint: Any, error: msgspec.ValidationError) -> str:
    """What the field must be, from its own description where it has one."""
    described = [part.description for part in _parts(hint) if isinstance(part, Meta) and part.description]
    return f"The {name} field must be {described[0]}." if described else f"{error}."


def _parts(hint: Any) -> Iterator[Any]:
    """The types and the descriptions that a type is made of."""
    yield hint
    for part in get_args(hint):
        yield from _parts(part)

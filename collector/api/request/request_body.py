"""Request bodies: JSON into a Struct, with every error listed.

Member names are snake_case in upper or lower case (contract 0); null counts as absent if the field cannot be
null.
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
from collector.http.connection.expectation import ask_for_body

_READ_SECONDS: Final = 15.0

AnyBody = TypeVar("AnyBody", bound=msgspec.Struct)

ObjectId = Annotated[
    str, Meta(pattern=r"^[a-zA-Z0-9]{24,36}$", description="an id of 24 to 36 letters and digits")
]

EXAMPLE_ID: Final = "01a00000000070008000000000000001"
"""The id in examples of bodies."""


async def read_body(request: web.Request, kind: type[AnyBody], *, is_required: bool = False) -> AnyBody:
    """The body as `kind`; an absent body counts as `{}`, unless the body or one of its fields is required.

    Raises UnsupportedContent for anything but uncompressed JSON, BadRequest if the body is missing or cannot
    be parsed, Invalid with the errors of all fields.
    """
    body = await _read_bytes(request)
    if not body:
        if is_required or any(field.required for field in msgspec.structs.fields(kind)):
            raise BadRequest("A body with JSON is required.")
        return kind()
    if request.content_type != "application/json":
        raise UnsupportedContent("The Content-Type must be application/json.")
    try:
        members = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"The body is not valid JSON: {error}.") from None
    if not isinstance(members, dict):
        raise BadRequest("The body must be a JSON object.")
    return converted({name.lower(): member for name, member in members.items()}, kind)


def converted(members: dict[str, Any], kind: type[AnyBody]) -> AnyBody:
    """Plain values as `kind`. Raises Invalid with the errors of all fields."""
    hints = get_type_hints(kind, include_extras=True)
    values: dict[str, Any] = {}
    errors: dict[str, list[str]] = {}
    for field in msgspec.structs.fields(kind):
        hint, value = hints[field.name], members.get(field.name)
        # Absent, or null in a field that cannot be null.
        if value is None and (field.name not in members or NoneType not in _parts(hint)):
            if field.required:
                errors[field.name] = [f"The {field.name} field is required."]
            continue
        try:
            values[field.name] = msgspec.convert(value, hint)
        except msgspec.ValidationError as error:
            # The type's description, if it has one, says in words what the field must be.
            described = [
                part.description for part in _parts(hint) if isinstance(part, Meta) and part.description
            ]
            errors[field.name] = [
                f"The {field.name} field must be {described[0]}." if described else f"{error}."
            ]
    if errors:
        raise Invalid(fields=errors)
    return kind(**values)


async def _read_bytes(request: web.Request) -> bytes:
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
        raise UnsupportedContent("This path does not accept compressed bodies.")
    length = request.content_length
    if length is not None and length > request.client_max_size:
        raise web.HTTPRequestEntityTooLarge(max_size=request.client_max_size, actual_size=length)
    await ask_for_body(request)
    try:
        async with asyncio.timeout(_READ_SECONDS):
            return await request.read()
    except TimeoutError:
        raise BadRequest(f"The body did not arrive within {_READ_SECONDS:.0f} seconds.") from None
    except (RequestPayloadError, ConnectionResetError):  # the latter after a disconnect: nothing is sent
        raise BadRequest("The body was cut off or badly chunked.") from None


def _parts(hint: Any) -> Iterator[Any]:
    """The type, and the types and descriptions that it is composed of."""
    yield hint
    for part in get_args(hint):
        yield from _parts(part)

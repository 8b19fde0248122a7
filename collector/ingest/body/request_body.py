"""Reads the body of a request as it was sent, and checks its length, type and encoding."""

import asyncio
from typing import Final

from aiohttp import hdrs, web
from aiohttp.web_protocol import RequestPayloadError

from collector.domain.errors import (
    BadRequest,
    BodyTooLarge,
    LengthRequired,
    Unavailable,
    UnsupportedContent,
)
from collector.http.connection.expectation import ask_for_body
from collector.ingest.body.inflight_bodies import InflightBodies

CONTENT_TYPES: Final = frozenset({"application/json", "text/plain"})
ENCODINGS: Final = frozenset({"", "identity", "gzip", "deflate", "br", "zstd"})
_LENGTH_DIGITS: Final = 19
BODY_SECONDS: Final = 30.0
"""How long a client may take to send its body."""

_TOO_SLOW: Final = f"The body did not arrive within {BODY_SECONDS:.0f} seconds."
_TOO_MUCH: Final = "More bodies are arriving than this server can hold, and this one took too long."


def check_length(request: web.BaseRequest, limit_bytes: int) -> None:
    """Refuse a post without a length, or with one above the limit (contract 3.2, steps 4 and 5)."""
    if check_length_at_most(request, limit_bytes) == 0:
        raise LengthRequired


def check_length_at_most(request: web.BaseRequest, limit_bytes: int) -> int | None:
    """The announced length, which may be 0 or missing. Raises BodyTooLarge if it is above the limit."""
    if len(request.headers.get(hdrs.CONTENT_LENGTH, "")) > _LENGTH_DIGITS:
        raise BadRequest("The content length is not a valid number.")
    length = request.content_length
    if length is not None and length > limit_bytes:
        raise BodyTooLarge(f"The body has {length} bytes; this server accepts {limit_bytes}.")
    return length


def check_content(request: web.BaseRequest) -> None:
    """Refuse a content type or encoding that the worker cannot read (step 8)."""
    if content_type(request) not in CONTENT_TYPES:
        raise UnsupportedContent("The content type must be application/json or text/plain.")
    check_encoding(request)


def check_json(request: web.BaseRequest) -> None:
    """Refuse a content type that is not JSON, or an encoding that cannot be decompressed."""
    kind = content_type(request)
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise UnsupportedContent("The content type must be application/json.")
    check_encoding(request)


def check_encoding(request: web.BaseRequest) -> None:
    """Refuse an encoding that cannot be decompressed."""
    if request.headers.get(hdrs.TRANSFER_ENCODING, "chunked").strip().lower() != "chunked":
        raise UnsupportedContent("The transfer encoding can only be chunked.")
    if content_encoding(request) not in ENCODINGS:
        raise UnsupportedContent("The content encoding must be gzip, deflate, br or zstd, or the body plain.")


def content_type(request: web.BaseRequest) -> str:
    """The media type in lower case, without parameters; empty if there is none."""
    return request.headers.get(hdrs.CONTENT_TYPE, "").partition(";")[0].strip().lower()


def content_encoding(request: web.BaseRequest) -> str:
    """The name of the body's encoding in lower case; empty if there is none, a list if there are several."""
    return ",".join(request.headers.getall(hdrs.CONTENT_ENCODING, ())).strip().lower()


async def read_body(request: web.BaseRequest, limit_bytes: int, bodies: InflightBodies) -> bytes:
    """Read the body as it was sent. Raises BodyTooLarge as soon as it exceeds the limit."""
    content = request.content
    # Usually the whole body came with the head.
    if content.is_eof() and content.exception() is None:
        return _within(content.read_nowait(), 0, limit_bytes)
    await ask_for_body(request)
    deadline = asyncio.timeout(BODY_SECONDS)
    with bodies.begin(deadline) as body:
        try:
            async with deadline:
                async for piece in content.iter_any():
                    bodies.add(body, _within(piece, len(body.data), limit_bytes))
        except TimeoutError:
            raise Unavailable(_TOO_MUCH if body.was_given_up else _TOO_SLOW) from None
        except (RequestPayloadError, ConnectionResetError):
            raise BadRequest("The body was cut off or badly chunked.") from None
        return bytes(body.data)


def _within(piece: bytes, size_before: int, limit_bytes: int) -> bytes:
    if size_before + len(piece) > limit_bytes:
        raise BodyTooLarge(f"The body is longer than the {limit_bytes} bytes accepted here.")
    return piece

"""The body of a request: its length, type and encoding are judged here, and it is read as it was sent."""

import asyncio
from typing import Final

from aiohttp import StreamReader, hdrs, web
from aiohttp.web_protocol import RequestPayloadError

from collector.domain.errors import (
    BadRequest,
    BodyTooLarge,
    LengthRequired,
    Unavailable,
    UnsupportedContent,
)
from collector.ingest.body.inflight_bodies import BodiesUnderWay

CONTENT_TYPES: Final = frozenset({"application/json", "text/plain"})
ENCODINGS: Final = frozenset({"", "identity", "gzip", "deflate", "br", "zstd"})
_LENGTH_DIGITS: Final = 19
BODY_SECONDS: Final = 30.0
"""How long a client may take to send its body."""

_TOO_SLOW: Final = f"The body did not arrive within {BODY_SECONDS:.0f} seconds."
_TOO_MUCH: Final = "More bodies are under way than this server can hold, and this one has been for long."


def check_length(request: web.BaseRequest, limit_bytes: int) -> None:
    """Refuse a post by its announced length alone (contract 3.2, steps 4 and 5)."""
    if check_length_at_most(request, limit_bytes) == 0:
        raise LengthRequired


def check_length_at_most(request: web.BaseRequest, limit_bytes: int) -> int | None:
    """The announced length, which may be 0 or missing but not above the limit."""
    if len(request.headers.get(hdrs.CONTENT_LENGTH, "")) > _LENGTH_DIGITS:
        raise BadRequest("The content length is no sensible number.")
    length = request.content_length
    if length is not None and length > limit_bytes:
        raise BodyTooLarge(f"The body has {length} bytes; this server accepts {limit_bytes}.")
    return length


def check_content(request: web.BaseRequest) -> None:
    """Refuse a post's content type or encoding that the worker could not read (step 8)."""
    if content_type(request) not in CONTENT_TYPES:
        raise UnsupportedContent("The content type must be application/json or text/plain.")
    check_encoding(request)


def check_json(request: web.BaseRequest) -> None:
    """Refuse what is not JSON."""
    kind = content_type(request)
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise UnsupportedContent("The content type must be application/json.")
    check_encoding(request)


def check_encoding(request: web.BaseRequest) -> None:
    """Refuse an encoding that cannot be unpacked."""
    if request.headers.get(hdrs.TRANSFER_ENCODING, "chunked").strip().lower() != "chunked":
        raise UnsupportedContent("The transfer encoding can only be chunked.")
    if content_encoding(request) not in ENCODINGS:
        raise UnsupportedContent("The content encoding must be gzip, deflate, br or zstd, or the body plain.")


def content_type(request: web.BaseRequest) -> str:
    """The media type, lower-cased and without parameters; empty for none."""
    return request.headers.get(hdrs.CONTENT_TYPE, "").partition(";")[0].strip().lower()


def content_encoding(request: web.BaseRequest) -> str:
    """The name of the body's encoding, lower-cased; empty for none, a list for several."""
    return ",".join(request.headers.getall(hdrs.CONTENT_ENCODING, ())).strip().lower()


async def read_body(request: web.BaseRequest, limit_bytes: int, bodies: BodiesUnderWay) -> bytes:
    """The body as it was sent. A body without a length stops being read at the limit."""
    content = request.content
    if content.is_eof() and content.exception() is None:
        return _within(content.read_nowait(), 0, limit_bytes)
    try:
        return await _read_pieces(content, limit_bytes, bodies)
    except (RequestPayloadError, ConnectionResetError):
        raise BadRequest("The body was cut off or badly chunked.") from None


async def _read_pieces(content: StreamReader, limit_bytes: int, bodies: BodiesUnderWay) -> bytes:
    deadline = asyncio.timeout(BODY_SECONDS)
    with bodies.begin(deadline) as body:
        try:
            async with deadline:
                async for piece in content.iter_any():
                    bodies.add(body, _within(piece, len(body.data), limit_bytes))
        except TimeoutError:
            raise Unavailable(_TOO_MUCH if body.gave_way else _TOO_SLOW) from None
        return bytes(body.data)


def _within(piece: bytes, size_before: int, limit_bytes: int) -> bytes:
    if size_before + len(piece) > limit_bytes:
        raise BodyTooLarge(f"The body is longer than the {limit_bytes} bytes accepted here.")
    return piece

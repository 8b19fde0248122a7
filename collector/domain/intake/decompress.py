"""A body without its content encoding: gzip, deflate (with and without its frame), br, zstd (contract 3.2).

Whatever a small body opens to, no more is made than the limit allows: a bomb costs a post's memory and no
time. What is cut off, broken or followed by something else is no body.
"""

import sys
import zlib
from collections.abc import Callable
from typing import Final, Protocol

import brotli

from collector.domain.event.outcome import DeadLetterReason

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_GZIP: Final = 16 + zlib.MAX_WBITS
_ZLIB: Final = zlib.MAX_WBITS
_RAW_DEFLATE: Final = -zlib.MAX_WBITS
_CHUNK_BYTES: Final = 4096
_LARGEST_WINDOW_LOG: Final = 23
"""8 MiB, as RFC 9659 has it for zstd on the web; a frame may ask for 2 GiB before it holds a byte."""


class UnstorablePost(Exception):  # noqa: N818 - a finding about the post
    """The post as a whole can never be stored."""

    def __init__(self, reason: DeadLetterReason, detail: str) -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(detail)


class _Decompressor(Protocol):
    """One compressed stream, given piece by piece."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def decompress(body: bytes, content_encoding: str, limit_bytes: int) -> bytes:
    """The body without its encoding; never makes more than `limit_bytes` and one piece of output.

    Raises Unstorable for an encoding that is unknown or broken, and for a body that would become too large.
    """
    encoding = content_encoding.strip().lower()
    match encoding:
        case "" | "identity":
            return body
        case "gzip":
            return _all_streams(body, lambda: zlib.decompressobj(_GZIP), limit_bytes)
        case "deflate":
            return _inflated(body, limit_bytes)
        case "br":
            return _only_stream(body, _Brotli, limit_bytes)
        case "zstd":
            return _all_streams(body, _zstd, limit_bytes)
        case _:
            raise UnstorablePost(
                DeadLetterReason.UNSUPPORTED_ENCODING, f"The encoding {encoding[:100]!r} is not supported."
            )


class _Brotli:
    """brotli as the others are; it takes nothing that follows the stream."""

    unused_data: Final = b""

    def __init__(self) -> None:
        self._decompressor = brotli.Decompressor()

    @property
    def eof(self) -> bool:
        is_finished: bool = self._decompressor.is_finished()
        return is_finished

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        piece: bytes = self._decompressor.process(data, output_buffer_limit=max_length)
        return piece


def _zstd() -> _Decompressor:
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _LARGEST_WINDOW_LOG})


def _inflated(body: bytes, limit_bytes: int) -> bytes:
    """Both kinds of deflate: with the zlib frame, as the standard has it, or without, as .NET sends it."""
    try:
        return _only_stream(body, lambda: zlib.decompressobj(_ZLIB), limit_bytes)
    except UnstorablePost as problem:
        if problem.reason is not DeadLetterReason.CORRUPT_ENCODING:
            raise
    return _only_stream(body, lambda: zlib.decompressobj(_RAW_DEFLATE), limit_bytes)


def _all_streams(body: bytes, opened: Callable[[], _Decompressor], limit_bytes: int) -> bytes:
    """Every member of a gzip file, every frame of zstd, one after the other."""
    members: list[bytes] = []
    position = 0
    left = limit_bytes
    while position < len(body):
        member, position = _stream(body, position, opened(), left)
        members.append(member)
        left -= len(member)
    return b"".join(members)


def _only_stream(body: bytes, opened: Callable[[], _Decompressor], limit_bytes: int) -> bytes:
    if not body:
        return b""
    text, end = _stream(body, 0, opened(), limit_bytes)
    if end != len(body):
        raise _corrupt(f"{len(body) - end} bytes follow the compressed stream.")
    return text


def _stream(body: bytes, start: int, decompressor: _Decompressor, limit_bytes: int) -> tuple[bytes, int]:
    """One compressed stream and where it ends."""
    pieces: list[bytes] = []
    left = limit_bytes
    position = start
    while not decompressor.eof:
        chunk = body[position : position + _CHUNK_BYTES]
        if not chunk:
            raise _corrupt("The compressed stream is cut off.")
        try:
            piece = decompressor.decompress(chunk, left + 1)
        except (zlib.error, zstd.ZstdError, brotli.error) as error:
            raise _corrupt(str(error)) from error
        left -= len(piece)
        if left < 0:
            raise UnstorablePost(DeadLetterReason.TOO_LARGE, "The body unpacks to more than a post may hold.")
        pieces.append(piece)
        position += len(chunk) - len(decompressor.unused_data)
    return b"".join(pieces), position


def _corrupt(detail: str) -> UnstorablePost:
    return UnstorablePost(DeadLetterReason.CORRUPT_ENCODING, detail)

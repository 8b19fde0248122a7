"""Decompresses request bodies: gzip, deflate (with or without the zlib header), br, zstd (contract 3.2).

Output never exceeds the limit by more than one chunk, so a decompression bomb costs at most the memory of one
post. Streams that are truncated, corrupt or followed by other data are rejected.
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
"""8 MiB, the limit of RFC 9659 for zstd on the web; a frame header could request 2 GiB."""


class UnstorablePost(Exception):  # noqa: N818 - a finding about the post
    """The post as a whole can never be stored."""

    def __init__(self, reason: DeadLetterReason, detail: str) -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(detail)


class TooCostly(UnstorablePost):
    """Building the post's events took longer than one post may take; it holds this number of events."""

    def __init__(self, detail: str, events: int) -> None:
        self.events = events
        super().__init__(DeadLetterReason.TOO_COSTLY, detail)


class _Decompressor(Protocol):
    """Decompresses one stream incrementally."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def decompress(body: bytes, content_encoding: str, limit_bytes: int) -> bytes:
    """Decompress a body; never produces more than `limit_bytes` plus one chunk.

    Raises UnstorablePost if the encoding is unsupported, the data is corrupt, or the result is too large.
    """
    encoding = content_encoding.strip().lower()
    match encoding:
        case "" | "identity":
            return body
        case "gzip":
            return _all_streams(body, lambda: zlib.decompressobj(_GZIP), limit_bytes)
        case "deflate":
            # With the zlib header, as RFC 9110 defines it, or else raw, as .NET sends it.
            try:
                return _only_stream(body, lambda: zlib.decompressobj(_ZLIB), limit_bytes)
            except UnstorablePost as problem:
                if problem.reason is not DeadLetterReason.CORRUPT_ENCODING:
                    raise
            return _only_stream(body, lambda: zlib.decompressobj(_RAW_DEFLATE), limit_bytes)
        case "br":
            return _only_stream(body, _Brotli, limit_bytes)
        case "zstd":
            limit_log = zstd.DecompressionParameter.window_log_max
            return _all_streams(
                body, lambda: zstd.ZstdDecompressor(options={limit_log: _LARGEST_WINDOW_LOG}), limit_bytes
            )
        case _:
            raise UnstorablePost(
                DeadLetterReason.UNSUPPORTED_ENCODING, f"The encoding {encoding[:100]!r} is not supported."
            )


class _Brotli:
    """Adapts brotli to the common interface; it rejects data after the stream itself."""

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


def _all_streams(body: bytes, create: Callable[[], _Decompressor], limit_bytes: int) -> bytes:
    """Decompress concatenated streams: gzip members or zstd frames."""
    members: list[bytes] = []
    position = 0
    # The limit is for all streams together.
    left = limit_bytes
    while position < len(body):
        member, position = _stream(body, position, create(), left)
        members.append(member)
        left -= len(member)
    return b"".join(members)


def _only_stream(body: bytes, create: Callable[[], _Decompressor], limit_bytes: int) -> bytes:
    if not body:
        return b""
    text, end = _stream(body, 0, create(), limit_bytes)
    if end != len(body):
        raise _corrupt(f"{len(body) - end} bytes follow the compressed stream.")
    return text


def _stream(body: bytes, start: int, decompressor: _Decompressor, limit_bytes: int) -> tuple[bytes, int]:
    """Decompress one stream; returns its content and the offset of its end."""
    pieces: list[bytes] = []
    left = limit_bytes
    position = start
    while not decompressor.eof:
        chunk = body[position : position + _CHUNK_BYTES]
        if not chunk:
            raise _corrupt("The compressed stream is truncated.")
        try:
            # One byte more than is left: enough to notice that the body is too large.
            piece = decompressor.decompress(chunk, left + 1)
        except (zlib.error, zstd.ZstdError, brotli.error) as error:
            raise _corrupt(str(error)) from error
        left -= len(piece)
        if left < 0:
            raise UnstorablePost(
                DeadLetterReason.TOO_LARGE, "The decompressed body is larger than a post may be."
            )
        pieces.append(piece)
        position += len(chunk) - len(decompressor.unused_data)
    return b"".join(pieces), position


def _corrupt(detail: str) -> UnstorablePost:
    return UnstorablePost(DeadLetterReason.CORRUPT_ENCODING, detail)

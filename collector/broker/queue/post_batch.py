"""The format of a post batch in one stream entry: version, batch id, count, msgpack (zstd if large).

An entry states the size of its msgpack, so that readers can bound their memory; entries of older releases do
not. Readers accept the previous format version, so a rolling update loses nothing.
"""

import sys
from collections.abc import Mapping
from typing import Final

import msgspec

from collector.domain.post import PostBatch

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

FORMAT_VERSION: Final = b"1"
READABLE_VERSIONS: Final = frozenset({FORMAT_VERSION})

_COMPRESS_ABOVE_BYTES: Final = 512
_COMPRESSION: Final[Mapping[int, int]] = {
    zstd.CompressionParameter.compression_level: 1,
    zstd.CompressionParameter.window_log: 18,
    zstd.CompressionParameter.hash_log: 12,
    zstd.CompressionParameter.min_match: 6,
}
"""Level 1 with a table that fits the L1 cache: 20 instead of 27 microseconds for 20 KB of logs at the
same size, because JSON repeats itself at short distances."""
_DECODED_LIMIT_BYTES: Final = 256 * 1024 * 1024
"""Far above any batch that an ingest process writes; only damage or malice can exceed it."""
_COUNT_DIGITS: Final = 9
_ENTRY_BYTES: Final = 160

_encoder = msgspec.msgpack.Encoder()
_compressor = zstd.ZstdCompressor(options=_COMPRESSION)
"""Reused for all entries: creating one costs as much as compressing thirty small posts."""
_decoder = msgspec.msgpack.Decoder(PostBatch)


class UnreadableEntry(Exception):  # noqa: N818 - a state of the world
    """The entry is not a post batch that this version can read."""


def encode(batch: PostBatch, body_limit_bytes: int = 0) -> dict[bytes, bytes]:
    """The fields of the batch's entry; `body_limit_bytes` (0: unknown) is that of acceptance."""
    body = _encoder.encode(batch)
    # Compressing a few hundred bytes saves too few to be worth the time.
    compressed = len(body) > _COMPRESS_ABOVE_BYTES
    return {
        b"v": FORMAT_VERSION,
        b"id": batch.id,
        b"n": b"%d" % len(batch.posts),
        b"l": b"%d" % body_limit_bytes,
        b"e": b"zstd" if compressed else b"",
        b"u": b"%d" % len(body),
        b"b": _compressor.compress(body, _compressor.FLUSH_FRAME) if compressed else body,
    }


def decode(fields: Mapping[bytes, bytes]) -> PostBatch:
    """The batch of an entry. Raises UnreadableEntry, which names the problem."""
    version = fields.get(b"v", b"")
    if version not in READABLE_VERSIONS:
        raise UnreadableEntry(f"format version {version!r} is unknown")
    try:
        return _decoder.decode(_body(fields))
    except (KeyError, ValueError, zstd.ZstdError, msgspec.MsgspecError) as error:
        raise UnreadableEntry(f"{type(error).__name__}: {error}") from error


def memory_bytes(fields: Mapping[bytes, bytes]) -> int:
    """What the entry takes in Redis, at most: its fields, what a stream adds, and the allocator's classes."""
    return _ENTRY_BYTES + sum(map(len, fields.values())) * 5 // 4


def post_count(fields: Mapping[bytes, bytes]) -> int:
    """The number of posts that the entry states, which even an unreadable one may; 0 if it does not."""
    return _count(fields, b"n")


def body_limit_bytes(fields: Mapping[bytes, bytes]) -> int:
    """The limit that the entry's posts were accepted under; 0 if the entry does not state it."""
    return _count(fields, b"l")


def _count(fields: Mapping[bytes, bytes], name: bytes) -> int:
    count = fields.get(name, b"")
    return int(count) if count.isdigit() and len(count) <= _COUNT_DIGITS else 0


def unpacked_bytes(fields: Mapping[bytes, bytes]) -> int:
    """The unpacked size of the entry's batch; the largest allowed one if the zstd frame does not state it."""
    body = fields.get(b"b", b"")
    if fields.get(b"e") != b"zstd":
        return len(body)
    try:
        size: int | None = zstd.get_frame_info(body).decompressed_size
    except zstd.ZstdError:  # not zstd: decoding fails before it unpacks anything
        return len(body)
    # Unknown counts as the largest, and nothing counts as more: decoding stops there.
    return min(size or _DECODED_LIMIT_BYTES, _DECODED_LIMIT_BYTES)


def _body(fields: Mapping[bytes, bytes]) -> bytes:
    body, encoding = fields[b"b"], fields.get(b"e", b"")
    if not encoding:
        return body
    if encoding != b"zstd":
        raise ValueError(f"encoding {encoding!r} is unknown")
    decompressor = zstd.ZstdDecompressor()
    decoded = decompressor.decompress(body, _DECODED_LIMIT_BYTES)
    # A stream that is cut off ends without an error.
    if not decompressor.eof:
        raise ValueError("the body is cut off or too large")
    return decoded

"""Removing a body's content encoding, up to the size that a post may have."""

import gzip
import random
import sys
import time
import tracemalloc
import zlib
from collections.abc import Callable

import brotli
import pytest

from collector.domain.intake.decompress import UnstorablePost, decompress

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

TEXT = b'{"message": "hello"}' * 500
LIMIT = 100_000
RAW_DEFLATE = zlib.compressobj(wbits=-15)
DEFLATED = RAW_DEFLATE.compress(TEXT) + RAW_DEFLATE.flush()
RANDOM = random.Random(7)  # noqa: S311 - the same noise in every run
NOISE = RANDOM.randbytes(20_000)
WIDE = zstd.compress(RANDOM.randbytes(1000) * 20_000, options={zstd.CompressionParameter.window_log: 24})


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        pytest.param("", TEXT, id="none"),
        pytest.param("identity", TEXT, id="identity"),
        pytest.param("gzip", gzip.compress(TEXT), id="gzip"),
        pytest.param(" GZip ", gzip.compress(TEXT), id="gzip in another spelling"),
        pytest.param("gzip", gzip.compress(TEXT[:9]) + gzip.compress(TEXT[9:]), id="gzip of two members"),
        pytest.param("deflate", DEFLATED, id="deflate as .NET sends it"),
        pytest.param("deflate", zlib.compress(TEXT), id="deflate with the zlib frame"),
        pytest.param("br", brotli.compress(TEXT), id="br"),
        pytest.param("zstd", zstd.compress(TEXT), id="zstd"),
        pytest.param("zstd", zstd.compress(TEXT[:9]) + zstd.compress(TEXT[9:]), id="zstd of two frames"),
    ],
)
def test_an_encoded_body_is_decompressed(encoding: str, body: bytes) -> None:
    """Every encoding that clients use gives the same text."""
    assert decompress(body, encoding, LIMIT) == TEXT


@pytest.mark.parametrize("encoding", ["", "gzip", "deflate", "br", "zstd"])
def test_an_empty_body_is_empty_in_any_encoding(encoding: str) -> None:
    """A post without a body is accepted and contains no event."""
    assert decompress(b"", encoding, LIMIT) == b""


@pytest.mark.parametrize(
    ("encoding", "body", "reason"),
    [
        pytest.param("gzip", gzip.compress(TEXT)[:-4], "corrupt_encoding", id="gzip without its end"),
        pytest.param("gzip", TEXT, "corrupt_encoding", id="gzip that is text"),
        pytest.param("gzip", gzip.compress(TEXT) + b"x", "corrupt_encoding", id="gzip and something more"),
        pytest.param("deflate", DEFLATED[:-4], "corrupt_encoding", id="deflate without its end"),
        pytest.param("deflate", zlib.compress(TEXT)[:-2], "corrupt_encoding", id="zlib without its end"),
        pytest.param("deflate", DEFLATED + b"x", "corrupt_encoding", id="deflate and something more"),
        pytest.param("deflate", b"hello", "corrupt_encoding", id="deflate that is text"),
        pytest.param("gzip", gzip.compress(b"x" * (LIMIT + 1)), "too_large", id="gzip one byte too large"),
        pytest.param("gzip", gzip.compress(b"x" * LIMIT) * 2, "too_large", id="members too large together"),
        pytest.param(
            "deflate", zlib.compress(b"x" * (LIMIT + 1)), "too_large", id="deflate one byte too large"
        ),
        pytest.param("br", brotli.compress(TEXT)[:-1], "corrupt_encoding", id="br without its end"),
        pytest.param("br", TEXT, "corrupt_encoding", id="br that is text"),
        pytest.param("br", brotli.compress(TEXT) + b"x", "corrupt_encoding", id="br and something more"),
        pytest.param("br", brotli.compress(b"x" * (LIMIT + 1)), "too_large", id="br one byte too large"),
        pytest.param("zstd", zstd.compress(TEXT)[:-1], "corrupt_encoding", id="zstd without its end"),
        pytest.param("zstd", TEXT, "corrupt_encoding", id="zstd that is text"),
        pytest.param("zstd", zstd.compress(TEXT) + b"x", "corrupt_encoding", id="zstd and something more"),
        pytest.param("zstd", zstd.compress(b"x" * (LIMIT + 1)), "too_large", id="zstd one byte too large"),
        pytest.param("zstd", WIDE, "corrupt_encoding", id="zstd that asks for more memory than the web's"),
        pytest.param("compress", TEXT, "unsupported_encoding", id="an encoding that is not ours"),
        pytest.param("gzip, gzip", TEXT, "unsupported_encoding", id="two encodings"),
    ],
)
def test_a_body_that_cannot_be_decompressed_has_a_reason(encoding: str, body: bytes, reason: str) -> None:
    """The dead letter shows it to an operator."""
    with pytest.raises(UnstorablePost) as raised:
        decompress(body, encoding, LIMIT)

    assert raised.value.reason == reason
    assert raised.value.detail


def test_a_body_of_exactly_the_limit_is_decompressed() -> None:
    assert len(decompress(gzip.compress(b"x" * LIMIT), "gzip", LIMIT)) == LIMIT


@pytest.mark.parametrize(
    ("encoding", "compressed"),
    [
        pytest.param("gzip", gzip.compress, id="gzip"),
        pytest.param("deflate", zlib.compress, id="deflate"),
        pytest.param("br", brotli.compress, id="br"),
        pytest.param("zstd", zstd.compress, id="zstd"),
    ],
)
@pytest.mark.parametrize("more", [0, 1])
def test_a_body_is_decompressed_in_pieces(
    encoding: str, compressed: Callable[[bytes], bytes], more: int
) -> None:
    """A stream that ends with its last piece of input, or in the next piece, is complete."""
    body = NOISE[: 4096 * 4 + more]

    assert decompress(compressed(body), encoding, LIMIT) == body


def _bomb(encoding: str) -> bytes:
    """Some kilobytes that decompress to half a gigabyte."""
    if encoding == "br":
        compressor = brotli.Compressor(quality=1)
        parts = [compressor.process(bytes(1 << 24)) for _ in range(32)]
        return b"".join([*parts, compressor.finish()])
    if encoding == "zstd":
        frames = zstd.ZstdCompressor()
        return b"".join([*(frames.compress(bytes(1 << 24)) for _ in range(32)), frames.flush()])
    deflater = zlib.compressobj(wbits=31 if encoding == "gzip" else 15)
    return b"".join([*(deflater.compress(bytes(1 << 24)) for _ in range(32)), deflater.flush()])


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
def test_a_bomb_costs_neither_memory_nor_time(encoding: str) -> None:
    """Decompression stops at the limit of a post."""
    bomb = _bomb(encoding)
    tracemalloc.start()
    started = time.process_time()
    with pytest.raises(UnstorablePost) as raised:
        decompress(bomb, encoding, 2_000_000)
    seconds = time.process_time() - started
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert raised.value.reason == "too_large"
    assert most < 16_000_000
    assert seconds < 0.5

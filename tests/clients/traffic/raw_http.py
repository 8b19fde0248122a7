"""Requests as bytes, for imitated clients."""

import asyncio
import gzip
from typing import Final
from urllib.parse import urlsplit

from tests.clients.traffic.messages import Message, messages_in

_ANSWER_SECONDS: Final = 20
_CHUNK_BYTES: Final = 4096
"""Of a .NET stream's buffer."""


async def answers_to(url: str, *requests: bytes) -> list[Message]:
    """The answers on one connection; the last request asks to close it."""
    parts = urlsplit(url)
    async with asyncio.timeout(_ANSWER_SECONDS):
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        try:
            for request in requests:
                writer.write(request)
            return list(messages_in(await reader.read()))
        finally:
            writer.close()


def request_of(first_line: str, *headers: str, body: bytes = b"") -> bytes:
    return "\r\n".join([first_line, *headers, "", ""]).encode("latin-1") + body


def chunked(body: bytes) -> bytes:
    """A body in chunks, as .NET writes them: lengths in capital letters."""
    pieces = [body[start : start + _CHUNK_BYTES] for start in range(0, len(body), _CHUNK_BYTES)]
    return b"".join(b"%X\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def gzipped(text: str) -> bytes:
    """A text of more than 4096 characters, compressed as .NET does."""
    return gzip.compress(text.encode(), mtime=0)

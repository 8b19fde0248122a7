"""A TCP proxy between ingest and Valkey that can swallow the reply to a write and cut the connection.

Ingest then cannot know whether its batch was written, and must write it again under the same batch id.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final
from urllib.parse import urlsplit, urlunsplit

_HOST: Final = "127.0.0.1"
_CHUNK: Final = 65_536
_WRITES: Final = (b"XADD", b"EVAL")
"""What is in the commands that can append to the stream."""


class ReplyCutter:
    """While `is_cutting`, every other write loses its reply and its connection. `cuts` counts them."""

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self.is_cutting = False
        self.cuts = 0
        self._writes = 0
        self.port = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until either side ends it."""
        with suppress(OSError):
            server_reader, server_writer = await asyncio.open_connection(*self._target)
            try:
                await self._join(reader, writer, server_reader, server_writer)
            finally:
                server_writer.transport.abort()
        writer.transport.abort()

    async def _join(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        server_reader: asyncio.StreamReader,
        server_writer: asyncio.StreamWriter,
    ) -> None:
        connection = _Connection()
        tasks = [
            asyncio.ensure_future(self._pass_requests(reader, server_writer, connection)),
            asyncio.ensure_future(self._pass_replies(server_reader, writer, connection)),
        ]
        _, unprocessed = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in unprocessed:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _pass_requests(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: "_Connection"
    ) -> None:
        while chunk := await reader.read(_CHUNK):
            if self.is_cutting and any(write in chunk for write in _WRITES):
                self._writes += 1
                connection.loses_reply = self._writes % 2 == 1
            writer.write(chunk)
            await writer.drain()

    async def _pass_replies(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: "_Connection"
    ) -> None:
        while chunk := await reader.read(_CHUNK):
            if connection.loses_reply:
                self.cuts += 1
                return
            writer.write(chunk)
            await writer.drain()


class _Connection:
    """What the two directions know of each other."""

    loses_reply = False


@asynccontextmanager
async def proxied(redis_url: str) -> AsyncIterator[tuple[ReplyCutter, str]]:
    """A proxy before the server, and the URL that leads through it."""
    parts = urlsplit(redis_url)
    cutter = ReplyCutter(parts.hostname or _HOST, parts.port or 6379)
    server = await asyncio.start_server(cutter.handle, _HOST, 0)
    cutter.port = server.sockets[0].getsockname()[1]
    credentials, at, _ = parts.netloc.rpartition("@")
    url = urlunsplit(parts._replace(netloc=f"{credentials}{at}{_HOST}:{cutter.port}"))
    try:
        yield cutter, url
    finally:
        server.close()

"""A relay between a client and the collector: passes every byte on and records it.

So the clients stay unmodified, and a test sees what they put on the wire and how they were answered.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final
from urllib.parse import urlsplit

from tests.clients.traffic.messages import Exchange, messages_in

EVENTS: Final = "/api/v2/events"
CONFIG: Final = "/api/v2/projects/config"
HEARTBEAT: Final = "/api/v2/events/session/heartbeat"

_HOST: Final = "127.0.0.1"
_PIECE_BYTES: Final = 1 << 16


class Relay:
    """A client's requests and their answers, connection by connection."""

    def __init__(self, host: str, port: int) -> None:
        self.url = ""
        self._collector = (host, port)
        self._connections: list[tuple[bytearray, bytearray]] = []

    def exchanges(self, path: str) -> list[Exchange]:
        """The exchanges with this path that are answered so far."""
        every = (
            Exchange(request, answer)
            for asked, answered in self._connections
            for request, answer in zip(messages_in(bytes(asked)), messages_in(bytes(answered)), strict=False)
        )
        return [exchange for exchange in every if exchange.path == path]

    def events(self) -> list[dict[str, Any]]:
        """The events that were answered 202, as the client wrote them; lone surrogates are kept."""
        accepted = [exchange for exchange in self.exchanges(EVENTS) if exchange.status == 202]
        return [event for exchange in accepted for event in json.loads(exchange.request.body)]

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Relay one connection until either side closes it."""
        asked, answered = bytearray(), bytearray()
        self._connections.append((asked, answered))
        with suppress(OSError):
            from_collector, to_collector = await asyncio.open_connection(*self._collector)
            try:
                await _first_of(_copy(reader, to_collector, asked), _copy(from_collector, writer, answered))
            finally:
                to_collector.close()
        writer.close()


@asynccontextmanager
async def relaying(url: str) -> AsyncIterator[Relay]:
    """A relay to the collector at `url`, on a separate port."""
    parts = urlsplit(url)
    relay = Relay(parts.hostname or _HOST, parts.port or 80)
    server = await asyncio.start_server(relay.pass_on, _HOST, 0)
    relay.url = f"http://{_HOST}:{server.sockets[0].getsockname()[1]}"
    try:
        yield relay
    finally:
        server.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kept: bytearray) -> None:
    while piece := await reader.read(_PIECE_BYTES):
        kept += piece
        writer.write(piece)
        await writer.drain()


async def _first_of(*directions: Any) -> None:
    tasks = [asyncio.ensure_future(direction) for direction in directions]
    _, unfinished = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in unfinished:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

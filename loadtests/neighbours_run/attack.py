"""What an attacker works with: its tokens, its connections, and what it counts."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import msgspec

CONNECTIONS: Final = 32
ADDRESS: Final = "127.0.0.2"
"""An IP of its own in the loopback network: bounds by IP would count the victim with it."""

_ANSWER_SECONDS: Final = 30.0
_PAUSE_SECONDS: Final = 0.01
_END: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length:"


class Orders(msgspec.Struct, frozen=True):
    """What an attacker's process is given: an organization of its own and its tokens. No core: any."""

    name: str
    url: str
    organization: str
    project: str
    client_token: str
    user_token: str
    cores: frozenset[int] = frozenset()


class Counts(msgspec.Struct):
    """What an attacker did. `answers` by status, 0 for connections that were lost."""

    attacks: int = 0
    sent_bytes: int = 0
    answers: dict[int, int] = {}

    def note(self, status: int, size: int = 0) -> None:
        """Count an answer; the bytes of what was accepted."""
        self.attacks += 1
        self.answers[status] = self.answers.get(status, 0) + 1
        if status == HTTPStatus.ACCEPTED:
            self.sent_bytes += size


@dataclass(slots=True)
class Attack:
    """Requests of an attacker. Refusals and lost connections are welcome."""

    orders: Orders
    counts: Counts = field(default_factory=Counts)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the server."""
        parts = urlsplit(self.orders.url)
        return parts.hostname or "", parts.port or 80

    def head(self, method: str, path: str, token: str, size: int, *lines: str) -> bytes:
        """The head of a request to the API; `lines` are further headers."""
        first = f"{method} /api/v2/{path} HTTP/1.1"
        usual = ("Host: victim", f"Authorization: Bearer {token}", f"Content-Length: {size}")
        return "\r\n".join([first, *usual, *lines, "", ""]).encode()

    def post(self, body: bytes, encoding: str = "", path: str = "events", *lines: str) -> bytes:
        """A post with the client token."""
        encoded = (f"Content-Encoding: {encoding}",) if encoding else ()
        typed = ("Content-Type: application/json", *encoded, *lines)
        return self.head("POST", path, self.orders.client_token, len(body), *typed) + body

    async def endlessly(self, request: Callable[[], bytes], connections: int = CONNECTIONS) -> None:
        """Send a request on each of the connections as soon as the one before is answered."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(connections):
                tasks.create_task(self._one_after_another(request))

    async def send(self, request: bytes) -> int:
        """Send one request on a connection of its own and return the status; 0 if it was lost."""
        with suppress(OSError, EOFError, TimeoutError):
            async with self.connection() as (reader, writer):
                return await self._exchange(reader, writer, request)
        return 0

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """Open a connection and close it at the end. Raises OSError."""
        reader, writer = await asyncio.open_connection(*self.address, local_addr=(ADDRESS, 0))
        try:
            yield reader, writer
        finally:
            writer.transport.abort()

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        """Call the API with the user token and return the answer's JSON, or the status."""
        headers = {"Authorization": f"Bearer {self.orders.user_token}"}
        connector = aiohttp.TCPConnector(local_addr=(ADDRESS, 0))
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.request(method, f"{self.orders.url}/api/v2/{path}", json=body, headers=headers) as answer,
        ):
            self.counts.note(answer.status)
            return await answer.json() if answer.content_type.endswith("json") else answer.status

    async def _one_after_another(self, request: Callable[[], bytes]) -> None:
        while True:
            try:
                async with self.connection() as (reader, writer):
                    while True:
                        await self._exchange(reader, writer, request())
            except (OSError, EOFError, TimeoutError):
                self.counts.note(0)
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _exchange(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
    ) -> int:
        """Send a request and read its answer. Raises OSError, EOFError and TimeoutError."""
        async with asyncio.timeout(_ANSWER_SECONDS):
            writer.write(request)
            head = await reader.readuntil(_END)
            length = head.lower().partition(_LENGTH)[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length or 0))
        status = int(head[9:12])
        self.counts.note(status, len(request))
        return status


Attacker = Callable[[Attack], Coroutine[Any, Any, None]]
"""Does its worst until it is cancelled."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An attacker, and what it does before the victim is measured."""

    run: Attacker
    prepare: Attacker | None = None


ATTACKERS: Final[dict[str, Entry]] = {}


def attacker(name: str, prepare: Attacker | None = None) -> Callable[[Attacker], Attacker]:
    """Register an attacker under a name."""

    def register(function: Attacker) -> Attacker:
        ATTACKERS[name] = Entry(function, prepare)
        return function

    return register

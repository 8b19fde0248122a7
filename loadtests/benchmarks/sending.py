"""The built-in sender, as a process: ready-made requests over raw connections, the next when one is answered.

It needs nothing installed, but a fast server outruns it: the report says how busy the server was.
"""

import asyncio
import itertools
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, cast

import msgspec
import uvloop

from loadtests.benchmarks.sender import Sent

_ACCEPTED: Final = b"HTTP/1.1 202 "
_END: Final = b"\r\n\r\n"
_CONNECT_SECONDS: Final = 5.0
_FIRST_ANSWERS_SECONDS: Final = 10.0


class Connection(asyncio.Protocol):
    """Posts, waits for the answer, posts again; answers have no body."""

    def __init__(self, requests: Iterator[bytes], answered_after: list[float]) -> None:
        self._requests = requests
        self._answered_after = answered_after
        self._received = b""
        self._began = 0.0
        self._transport: asyncio.Transport | None = None
        self.heard = asyncio.Event()
        self.failures = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        self._post()

    def data_received(self, data: bytes) -> None:
        """Note the answer once it is whole."""
        self._received += data
        if not self._received.endswith(_END):
            return
        self._answered_after.append(time.perf_counter() - self._began)
        self.heard.set()
        self.failures += not self._received.startswith(_ACCEPTED)
        self._received = b""
        self._post()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - a cut is a cut
        """Count a failure unless we closed the connection."""
        self.failures += self._transport is not None
        self.heard.set()
        self._transport = None

    def close(self) -> None:
        """Stop; an answer still to come does not count."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    def _post(self) -> None:
        if self._transport is not None:
            self._began = time.perf_counter()
            self._transport.write(next(self._requests))


async def send(port: int, connections: int, seconds: float, requests: list[bytes]) -> Sent:
    """Post over the connections for `seconds`, on a slow machine until each was answered once."""
    loop = asyncio.get_running_loop()
    answered_after: list[float] = []
    turn = itertools.cycle(requests)
    began = time.perf_counter()
    made = []
    for _ in range(connections):
        async with asyncio.timeout(_CONNECT_SECONDS):
            _, protocol = await loop.create_connection(
                lambda: Connection(turn, answered_after), "127.0.0.1", port
            )
        made.append(protocol)
    await asyncio.sleep(seconds)
    with suppress(TimeoutError):
        async with asyncio.timeout(_FIRST_ANSWERS_SECONDS):
            await asyncio.gather(*(protocol.heard.wait() for protocol in made))
    ended = time.perf_counter()
    for protocol in made:
        protocol.close()
    times = sorted(answered_after) or [0.0]
    return Sent(
        posts=len(answered_after),
        seconds=ended - began,
        failures=sum(protocol.failures for protocol in made),
        p50_ms=times[len(times) // 2] * 1000,
        p99_ms=times[len(times) * 99 // 100] * 1000,
    )


def build_requests(bodies: Path, path: str, token: str) -> list[bytes]:
    """The whole requests, as they go over the wire."""
    return [
        (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: application/json\r\nUser-Agent: headrace-benchmark/1.0\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode()
        + body
        for body in bodies.read_bytes().splitlines()
    ]


def main() -> None:
    """Arguments: port, connections, seconds, file of bodies, path, token."""
    port, connections, seconds, bodies, path, token = sys.argv[1:]
    sending = send(int(port), int(connections), float(seconds), build_requests(Path(bodies), path, token))
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(sending)) + b"\n")


if __name__ == "__main__":
    main()

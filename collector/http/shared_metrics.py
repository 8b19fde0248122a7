"""The metrics of processes that share a port: the one that is scraped answers for all of them.

The kernel chooses which process gets a scrape, and counters that belonged to another process each time would
be useless. So each process also serves its metrics on an abstract Unix socket, named after the port, which
exists as long as the process and in the same network namespace as the port. The number in the socket's name
is the label `process`: a process that is replaced leaves its number to its successor, so labels stay few.
"""

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from typing import Final, cast

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric

from collector.http.server import Address
from collector.process.metrics import exposition

MOST_PROCESSES: Final = 64
"""Processes on one port beyond these show only their own metrics, without a number."""
LABEL: Final = "process"

_ANSWER_SECONDS: Final = 2.0
_MOST_BYTES: Final = 8 << 20
_PIECE_BYTES: Final = 1 << 16
_FAMILY: Final = b"# HELP "
_CREDENTIALS: Final = struct.Struct("3i")

_log = structlog.get_logger()


class SharedMetrics:
    """Collects the metrics of all processes on a port."""

    def __init__(self, address: Address, registry: CollectorRegistry) -> None:
        self._prefix = f"\0headrace-metrics:{os.getuid()}:{address.host}:{address.port}:"
        self._registry = registry
        self._number: int | None = None

    async def exposition(self) -> bytes:
        """The metrics of this process and of the others that answer in time, each sample with its process."""
        if self._number is None:
            return exposition(self._registry)
        others = [number for number in range(MOST_PROCESSES) if number != self._number]
        texts = await asyncio.gather(*map(self._ask, others))
        return merged([self._own(), *(text for text in texts if text)])

    @asynccontextmanager
    async def served(self) -> AsyncIterator[None]:
        """Answer the other processes inside the block."""
        listening = self._claim_number()
        if listening is None:
            _log.warning("too many processes share the port; its metrics lack those of this one")
            yield
            return
        server = await asyncio.start_unix_server(self._answer, sock=listening)
        try:
            yield
        finally:
            server.close()

    def _claim_number(self) -> socket.socket | None:
        for number in range(MOST_PROCESSES):
            listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            try:
                listening.bind(f"{self._prefix}{number}")
            except OSError:  # another process has it
                listening.close()
            else:
                self._number = number
                return listening
        return None

    def _own(self) -> bytes:
        return exposition(cast("CollectorRegistry", _Numbered(self._registry, str(self._number))))

    async def _answer(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                writer.write(self._own())
                await writer.drain()
        except (OSError, TimeoutError):
            pass  # the process that asked shows its metrics without ours
        finally:
            writer.close()

    async def _ask(self, number: int) -> bytes:
        """The metrics of another process; nothing if there is none, or if it does not answer in time."""
        loop = asyncio.get_running_loop()
        asking = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        with closing(asking):
            try:
                asking.connect(f"{self._prefix}{number}")
                # Anybody on the machine can take a name like ours, but not our user.
                credentials = asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
                if _CREDENTIALS.unpack(credentials)[1] != os.getuid():
                    return b""
                pieces: list[bytes] = []
                async with asyncio.timeout(_ANSWER_SECONDS):
                    while sum(map(len, pieces)) < _MOST_BYTES:
                        piece = await loop.sock_recv(asking, _PIECE_BYTES)
                        if not piece:
                            return b"".join(pieces)
                        pieces.append(piece)
            except (OSError, TimeoutError):
                return b""
        return b""


class _Numbered:
    """A registry whose samples carry the number of their process."""

    def __init__(self, registry: CollectorRegistry, number: str) -> None:
        self._registry = registry
        self._number = number

    def collect(self) -> Iterator[Metric]:
        for family in self._registry.collect():
            family.samples = [
                sample._replace(labels={**sample.labels, LABEL: self._number}) for sample in family.samples
            ]
            yield family


def merged(texts: list[bytes]) -> bytes:
    """One exposition from several: all samples of a metric stand together, below its description."""
    samples: dict[bytes, list[bytes]] = {}
    for text in texts:
        for family in text.split(_FAMILY)[1:]:
            lines = family.splitlines(keepends=True)
            # A description and a type, then the samples.
            samples.setdefault(b"".join(lines[:2]), []).extend(lines[2:])
    return b"".join(_FAMILY + head + b"".join(lines) for head, lines in samples.items())


@asynccontextmanager
async def shared_metrics(
    address: Address, registry: CollectorRegistry
) -> AsyncIterator[SharedMetrics | None]:
    """The metrics of all processes on the address inside the block; None if it is not shared."""
    if not address.is_shared:
        yield None
        return
    shared = SharedMetrics(address, registry)
    async with shared.served():
        yield shared

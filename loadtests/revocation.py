"""Measures how long the slowest ingest process still accepts a revoked token, over many tries.

Each ingest process is polled over its own connection, whose other end is identified by the kernel's table of
connections. The time runs from sending the DELETE to the first 401 of the last ingest process.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import aiohttp
import psutil

from loadtests.fault_run.plant import Plant, PlantError, running_plant

PROMISED_SECONDS: Final = 1.0

_GIVE_UP_SECONDS: Final = 30.0
_CONNECTIONS_AT_MOST: Final = 200
_BODY: Final = b"revocation"


@dataclass(frozen=True, slots=True)
class Probe:
    """An open connection to one ingest process."""

    pid: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def post(self, token: str) -> int:
        """Post an event and return the status."""
        head = (
            f"POST /api/v2/events HTTP/1.1\r\nHost: ingest\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: text/plain\r\nContent-Length: {len(_BODY)}\r\n\r\n"
        )
        self.writer.write(head.encode() + _BODY)
        await self.writer.drain()
        answer = await self.reader.readuntil(b"\r\n\r\n")
        lines = answer.decode("latin-1").lower().split("\r\n")
        lengths = [int(line.partition(":")[2]) for line in lines if line.startswith("content-length:")]
        await self.reader.readexactly(sum(lengths))
        return int(lines[0].split()[1])

    async def until(self, status: int, token: str) -> float:
        """Post repeatedly until the answer has this status; return the time of that answer."""
        async with asyncio.timeout(_GIVE_UP_SECONDS):
            while await self.post(token) != status:
                pass
        return time.monotonic()


def main() -> int:
    """Return the exit status: 0 if every try stayed below the limit, 1 if not, 2 if it could not run."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.revocation", description=__doc__)
    parser.add_argument("--tries", type=int, default=100, help="tokens to revoke (%(default)s)")
    tries, status = parser.parse_args().tries, 2
    try:
        with tempfile.TemporaryDirectory(prefix="headrace-revocation-", ignore_cleanup_errors=True) as folder:
            seconds, ingest_processes = asyncio.run(measure(Path(folder), tries))
        print(report_text(seconds, ingest_processes))
        status = 0 if max(seconds) < PROMISED_SECONDS else 1
    except* PlantError as group:
        print(f"revocation: {group.exceptions[0]}", file=sys.stderr)
    return status


async def measure(folder: Path, tries: int) -> tuple[list[float], int]:
    """Start a plant in `folder` and revoke `tries` tokens on it: see `revocations`."""
    async with running_plant(folder, {}) as plant:
        return await revocations(plant, tries)


def report_text(seconds: Sequence[float], ingest_processes: int) -> str:
    """The report."""
    return (
        f"{len(seconds)} tokens revoked, {ingest_processes} ingest processes: refused by all after at most"
        f" {max(seconds) * 1000:.0f} ms (median {statistics.median(seconds) * 1000:.0f} ms)"
    )


async def revocations(plant: Plant, tries: int) -> tuple[list[float], int]:
    """Seconds until all ingest processes refused, for each try; and the number of ingest processes."""
    async with open_probes(plant) as probes, aiohttp.ClientSession() as session:
        return [await _revoke_one(plant, session, probes) for _ in range(tries)], len(probes)


@asynccontextmanager
async def open_probes(plant: Plant) -> AsyncIterator[list[Probe]]:
    """Connect to every ingest process. Raises PlantError if the kernel never chose one of them."""
    wanted = {process.pid for kind in ("ingest", "proxied_ingest") for process in plant.children(kind)}
    probes: dict[int, Probe] = {}
    async with AsyncExitStack() as stack:
        for _ in range(_CONNECTIONS_AT_MOST):
            for url in (plant.ready.url, plant.proxied_url):
                address = urlsplit(url)
                reader, writer = await asyncio.open_connection(address.hostname, address.port)
                stack.callback(writer.close)
                pid = _pid_behind(writer.get_extra_info("sockname")[1], wanted)
                if pid is not None:
                    probes[pid] = Probe(pid, reader, writer)
            if probes.keys() == wanted:
                break
        else:
            raise PlantError(f"no connection to ingest {wanted - probes.keys()}")
        yield list(probes.values())


def _pid_behind(port: int, pids: set[int]) -> int | None:
    """The process that has the other end of the connection from this port."""
    for pid in pids:
        for connection in psutil.Process(pid).net_connections(kind="tcp"):
            if connection.status == psutil.CONN_ESTABLISHED and connection.raddr.port == port:
                return pid
    return None


async def _revoke_one(plant: Plant, session: aiohttp.ClientSession, probes: Sequence[Probe]) -> float:
    """Use a new token at all ingest processes, then revoke it while posting to all without a pause."""
    ready = plant.ready
    headers = {"Authorization": f"Bearer {ready.user_token}"}
    url = f"{ready.url}/api/v2/projects/{ready.project_id}/tokens"
    async with session.post(url, json={"scopes": ["client"]}, headers=headers) as made:
        token = (await made.json())["id"]
    await asyncio.gather(*(probe.until(HTTPStatus.ACCEPTED, token) for probe in probes))
    refusals = [asyncio.ensure_future(probe.until(HTTPStatus.UNAUTHORIZED, token)) for probe in probes]
    began = time.monotonic()
    async with session.delete(f"{ready.url}/api/v2/tokens/{token}", headers=headers) as gone:
        if gone.status != HTTPStatus.ACCEPTED:
            raise PlantError(f"the token was not revoked: {gone.status}")
    return max(await asyncio.gather(*refusals)) - began


if __name__ == "__main__":
    sys.exit(main())

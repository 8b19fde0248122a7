"""The services of compose.yaml as plain processes: the same commands and environment, on loopback.

What containers would give them is put in by hand: names of hosts, ports, and the folder of the secrets.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from collector.database.owners.seed import Seed, seed
from collector.embedded.credentials import load_credentials
from collector.embedded.servers.binaries import valkey_program
from collector.embedded.servers.ports import free_port
from collector.process.probe import health_problem
from tests.deploy.tools import ROOT, run
from tests.support.waiting import until

COMPOSE: Final[Mapping[str, Any]] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: Final[Mapping[str, Any]] = COMPOSE["services"]
OURS: Final = tuple(name for name, service in SERVICES.items() if "headrace" in service["image"])
_SECRETS: Final = "/run/secrets"
_STOP_SECONDS: Final = 20.0
_PROXIES: Final = "127.0.0.1"
"""Whom the processes trust; clients of these tests come from other addresses of the loopback network."""


@dataclass(frozen=True, slots=True)
class Composed:
    """What runs: the ports of our services by name, the first credentials, and the processes."""

    ports: Mapping[str, int]
    seed: Seed
    processes: Mapping[str, asyncio.subprocess.Process]
    logs: Path


@asynccontextmanager
async def composed(folder: Path, database_url: str) -> AsyncIterator[Composed]:
    """Run all services but Postgres, whose URL is given, and the proxy; they are stopped at the end."""
    secrets, logs = folder / "secrets", folder / "logs"
    logs.mkdir()
    run("/bin/sh", "deploy/compose/secrets.sh", str(secrets))
    ports = {name: free_port() for name in ("valkey", *OURS)}
    _put(secrets / "database_url", database_url)
    redis_url = (secrets / "redis_url").read_text().replace("@valkey:6379", f"@127.0.0.1:{ports['valkey']}")
    _put(secrets / "redis_url", redis_url)
    processes: dict[str, asyncio.subprocess.Process] = {}
    async with AsyncExitStack() as stack:

        async def start(name: str, command: list[str], environ: Mapping[str, str]) -> None:
            with (logs / name).open("wb") as log:
                processes[name] = process = await asyncio.create_subprocess_exec(
                    *command, env=environ, cwd=folder, stdout=log, stderr=log
                )
            stack.push_async_callback(stopped, process)

        command = [part.replace(_SECRETS, str(secrets)) for part in SERVICES["valkey"]["command"]]
        own = ["--port", str(ports["valkey"]), "--bind", "127.0.0.1", "--dir", str(folder)]
        await start("valkey", [str(valkey_program(None)), *command[1:], *own], {})
        for name in ("migrate", *(name for name in OURS if name != "migrate")):
            environ = _environ(SERVICES[name], secrets, ports[name])
            await start(name, [sys.executable, "-P", "-m", "collector", *SERVICES[name]["command"]], environ)
            if name == "migrate":
                assert await asyncio.wait_for(processes[name].wait(), 60) == 0, (logs / name).read_text()
        credentials = await seed(database_url, load_credentials(folder / "credentials.json"))
        for name in OURS:
            if name != "migrate":
                await until(lambda: _is_ready(ports[name]), 60, f"{name}, ready")  # noqa: B023 - awaited here
        yield Composed(ports, credentials, processes, logs)


async def stopped(process: asyncio.subprocess.Process) -> int:
    """Stop the process as a container engine does, within its time, and return the exit status."""
    if process.returncode is None:
        process.terminate()
    async with asyncio.timeout(_STOP_SECONDS):
        return await process.wait()


def _environ(service: Mapping[str, Any], secrets: Path, port: int) -> dict[str, str]:
    """The service's environment, with what compose and the image would add."""
    environ = {name: text.replace(_SECRETS, str(secrets)) for name, text in service["environment"].items()}
    if "HEADRACE_TRUSTED_PROXIES" in environ:
        environ["HEADRACE_TRUSTED_PROXIES"] = _PROXIES
    own = {"HEADRACE_PORT": str(port), "HEADRACE_LOG_FORMAT": "json", "PATH": os.environ["PATH"]}
    return environ | own


async def _is_ready(port: int) -> bool:
    """By the check that the image makes."""
    environ = {"HEADRACE_PORT": str(port)}
    return await asyncio.to_thread(health_problem, environ, is_ready=True) is None


def _put(path: Path, text: str) -> None:
    """Replace a secret, which is read-only."""
    path.unlink(missing_ok=True)
    path.write_text(text)

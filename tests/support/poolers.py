"""A real PgBouncer in front of a test's database. Without PgBouncer these tests are skipped."""

import asyncio
import os
import pwd
import shutil
import signal
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from collector.embedded.servers.ports import free_port
from tests.support.waiting import until

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
_USER = "nobody"
"""The user that runs it instead of root."""

needs_pgbouncer = pytest.mark.skipif(PGBOUNCER is None, reason="PgBouncer is not installed (apt: pgbouncer)")


class Pooler:
    """A PgBouncer at one address, which can be restarted in another mode."""

    def __init__(self, directory: Path, database_url: str) -> None:
        self._directory = directory
        self._server = urlsplit(database_url)
        self._port = free_port()
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """Where clients reach it."""
        user, password = self._server.username, self._server.password
        return f"postgresql://{user}:{password}@127.0.0.1:{self._port}{self._server.path}"

    async def start(self, mode: str, **settings: object) -> None:
        """Start it, replacing the running one."""
        await self.stop()
        self._configure(mode, settings)
        self._process = await asyncio.create_subprocess_exec(
            PGBOUNCER or "pgbouncer", "-q", str(self._ini), **_as_another_user()
        )
        await until(self._listens)

    async def switch(self, mode: str) -> None:
        """Change the mode of the running pooler while clients are connected."""
        assert self._process is not None
        self._configure(mode, {})
        seen = self._log.count("got SIGHUP")
        self._process.send_signal(signal.SIGHUP)

        async def is_read() -> bool:
            return self._log.count("got SIGHUP") > seen

        await until(is_read)

    async def stop(self) -> None:
        """Disconnect its clients and stop it."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(10):
                await self._process.wait()
            self._process = None

    @property
    def _ini(self) -> Path:
        return self._directory / "pgbouncer.ini"

    @property
    def _log(self) -> str:
        return (self._directory / "log").read_text()

    def _configure(self, mode: str, settings: dict[str, object]) -> None:
        server = self._server
        users = self._directory / "users"
        users.write_text(f'"{server.username}" "{unquote(server.password or "")}"\n')
        lines = {
            "listen_addr": "127.0.0.1",
            "listen_port": self._port,
            "unix_socket_dir": "",
            "logfile": self._directory / "log",
            "auth_type": "plain",
            "auth_file": users,
            "pool_mode": mode,
            **settings,
        }
        text = "".join(f"{name} = {value}\n" for name, value in lines.items())
        self._ini.write_text(
            f"[databases]\n* = host={server.hostname} port={server.port}\n[pgbouncer]\n{text}"
        )

    async def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0


@asynccontextmanager
async def a_pooler(database_url: str) -> AsyncIterator[Pooler]:
    """A pooler that has not been started, in front of the database."""
    with tempfile.TemporaryDirectory(prefix="headrace-pgbouncer-") as directory:
        if os.geteuid() == 0:
            shutil.chown(directory, _USER)
        pooler = Pooler(Path(directory), database_url)
        try:
            yield pooler
        finally:
            await pooler.stop()


def _as_another_user() -> dict[str, Any]:
    """PgBouncer refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam(_USER)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}

"""An embedded Valkey: loopback TCP with a password, every write on disk before its reply, bounded memory."""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Final

from collector.embedded.child import Child, Program
from collector.embedded.private_files import make_private_directory
from collector.embedded.servers.binaries import valkey_program
from collector.embedded.servers.os_user import server_user
from collector.embedded.servers.ports import LOOPBACK
from collector.embedded.servers.server_credentials import load_server_credentials

QUEUE_MEMORY_MB: Final = 512

_CONFIGURATION: Final = """\
bind {host}
port {port}
requirepass {password}
protected-mode yes
daemonize no
logfile ""
save ""
appendonly yes
appendfsync always
maxmemory {memory_mb}mb
maxmemory-policy noeviction
"""
_PROBE_SECONDS: Final = 2


class Valkey:
    """The server whose data are in `directory`/valkey."""

    name: Final = "valkey"

    def __init__(self, directory: Path, *, queue_memory_mb: int = QUEUE_MEMORY_MB) -> None:
        self._data = directory / "valkey"
        self._log = directory / "logs" / "valkey.log"
        self._queue_memory_mb = queue_memory_mb
        self._os_user = server_user(self._data)
        make_private_directory(self._data, self._os_user)
        self._credentials = load_server_credentials(directory / "valkey.json")

    @property
    def url(self) -> str:
        """The URL that clients connect to."""
        return f"redis://:{self._credentials.password}@{LOOPBACK}:{self._credentials.port}/0"

    async def prepare(self) -> Program:
        """The server's command line; its configuration goes to standard input, out of the process list."""
        configuration = _CONFIGURATION.format(
            host=LOOPBACK,
            port=self._credentials.port,
            password=self._credentials.password,
            memory_mb=self._queue_memory_mb,
        )
        return Program(
            arguments=(str(valkey_program(self._os_user)), "-"),
            environ={"LC_ALL": "C", "TZ": "UTC"},
            log=self._log,
            directory=self._data,
            os_user=self._os_user,
            stdin=configuration.encode(),
        )

    async def readiness_problem(self, _child: Child) -> str | None:
        """Ready once it accepts the password and has loaded its data."""
        try:
            async with asyncio.timeout(_PROBE_SECONDS):
                reader, writer = await asyncio.open_connection(LOOPBACK, self._credentials.port)
                try:
                    writer.write(f"AUTH {self._credentials.password}\r\nPING\r\n".encode())
                    replies = [await reader.readline(), await reader.readline()]
                finally:
                    writer.close()
                    with suppress(OSError):
                        await writer.wait_closed()
        except OSError as error:
            return str(error) or "no answer"
        return None if replies == [b"+OK\r\n", b"+PONG\r\n"] else replies[-1].decode(errors="replace").strip()

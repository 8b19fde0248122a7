"""`headrace up`: the whole product on one machine, started in order, watched, and stopped in reverse order.

A look at what is given, then servers, then migrations and the first credentials, then ingest processes and
worker; ready once an event posted would be stored. Whatever dies later is started again. Ctrl-C or SIGTERM
stops ingest processes, worker and servers.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from collector.database.owners.seed import Seed, seed
from collector.database.schema.migrations import migrate
from collector.embedded.app_processes import base_url, ingest_processes, worker
from collector.embedded.banner import welcome
from collector.embedded.console import Console
from collector.embedded.credentials import keep_credentials, kept_credentials
from collector.embedded.data_directory import locked_directory
from collector.embedded.logs import bound_logs
from collector.embedded.managed_process import RestartPolicy, all_ready, kept
from collector.embedded.orphans import ProcessRecord
from collector.embedded.preflight import reach_given_servers, up_settings
from collector.embedded.ready_file import ReadyFile, clear_ready_file
from collector.embedded.servers.ports import reserve_port
from collector.embedded.servers.postgres import Postgres
from collector.embedded.servers.valkey import Valkey
from collector.embedded.service import NotStarted
from collector.embedded.settings import UpSettings
from collector.embedded.supervisor import INGEST, POSTGRES, VALKEY, WORKER, Supervisor
from collector.embedded.watch import Watch
from collector.process.clock import Clock
from collector.process.lifecycle import EXIT_BAD_START, StartError, Stop, cancelled

_PRODUCT_PATIENCE: Final = RestartPolicy(start_seconds=60)


@dataclass(frozen=True, slots=True)
class UpOptions:
    """What the command line says; a missing port or ready file has its default."""

    data_dir: Path
    port: int | None = None
    ready_file: Path | None = None
    ingest_count: int = 1


@dataclass(frozen=True, slots=True)
class Urls:
    """Where Redis and Postgres are."""

    redis: str
    database: str


async def run(
    options: UpOptions, environ: Mapping[str, str], stop: Stop, *, console: Console, clock: Clock
) -> None:
    """Serve until the end is asked for.

    Raises StartError, or NotStarted with a child's last lines, after everything was stopped again.
    """
    settings = up_settings(environ, console)
    with locked_directory(options.data_dir) as directory:
        up = Up(options, settings, environ, directory, console=console, clock=clock)
        try:
            async with asyncio.TaskGroup() as tasks:
                serving = tasks.create_task(up.serve())
                await stop.wait()
                console.tell("Stopping.")
                await cancelled(serving)
        except ExceptionGroup as failures:
            raise _cause(failures) from failures


class Up:
    """One run: the order in which things are started is that of its blocks, inside out for the stop."""

    def __init__(
        self,
        options: UpOptions,
        settings: UpSettings,
        environ: Mapping[str, str],
        directory: Path,
        *,
        console: Console,
        clock: Clock,
    ) -> None:
        self._options = options
        self._settings = settings
        self._environ = environ
        self._directory = directory
        self._console = console
        self._clock = clock
        usual = directory / "ready.json"  # where operators' commands look for it
        self._ready_paths = tuple({path.absolute(): None for path in (usual, options.ready_file or usual)})
        self._record = ProcessRecord(directory / "processes.json")
        self._supervisor = Supervisor(self._record, self._ready_paths, console, clock)

    async def serve(self) -> None:
        """Serve until cancelled. Raises an ExceptionGroup when something could not be started."""
        begun = self._clock.monotonic()
        if orphans := await self._record.stop_orphans():
            self._console.say(f"Stopped what an earlier run had left: {', '.join(orphans)}.")
        for path in self._ready_paths:
            clear_ready_file(path)
        port = self._settings.port if self._options.port is None else self._options.port
        try:
            with reserve_port(self._settings.host, port) as reserved:
                async with asyncio.TaskGroup() as tasks:
                    bounding = tasks.create_task(bound_logs(self._directory / "logs"))
                    try:
                        await self._serve_on(reserved.getsockname()[1], begun)
                    finally:
                        bounding.cancel()
        finally:
            self._record.clear()

    async def _serve_on(self, port: int, begun: float) -> None:
        async with self._servers() as urls:
            credentials = await self._prepare_database(urls)
            async with self._product(urls, port) as watch:
                await watch.until_ready()
                ready = self._ready_file(urls, port, credentials)
                self._supervisor.publish(ready)
                self._console.say(welcome(ready, self._directory, self._clock.monotonic() - begun))
                try:
                    await watch.keep_telling()  # the end is a cancellation
                finally:
                    self._supervisor.withdraw()

    @asynccontextmanager
    async def _servers(self) -> AsyncIterator[Urls]:
        """Embedded servers, or the given ones, inside the block."""
        given = self._settings
        await reach_given_servers(given, self._environ, self._console)
        valkey = None if given.redis_url else self._valkey()
        postgres = None if given.database_url else Postgres(self._directory)
        processes = [
            *self._supervisor.processes(VALKEY, [valkey] if valkey else []),
            *self._supervisor.processes(POSTGRES, [postgres] if postgres else []),
        ]
        async with kept(processes):
            names = [name for name, server in (("Valkey", valkey), ("Postgres", postgres)) if server]
            if names:
                with self._console.step(f"Starting {' and '.join(names)}"):
                    await all_ready(processes)
            yield Urls(
                valkey.url if valkey else given.redis_url, postgres.url if postgres else given.database_url
            )

    def _valkey(self) -> Valkey:
        return Valkey(self._directory, queue_memory_mb=self._settings.embedded_queue_memory_mb)

    async def _prepare_database(self, urls: Urls) -> Seed:
        """Migrations, and the first organization, project, user and tokens."""
        path = self._directory / "credentials.json"
        wanted = kept_credentials(path)
        with self._console.step("Preparing the database"):
            await migrate(urls.database)
            in_force = await seed(urls.database, wanted)
        if in_force != wanted:
            keep_credentials(path, in_force)
        return in_force

    @asynccontextmanager
    async def _product(self, urls: Urls, port: int) -> AsyncIterator[Watch]:
        """Ingest processes and worker, inside the block; ingest are the first to stop.

        They serve, ready or not.
        """
        environ = {**self._environ, "HEADRACE_REDIS_URL": urls.redis, "HEADRACE_DATABASE_URL": urls.database}
        if not self._settings.redis_url:
            environ.setdefault("HEADRACE_QUEUE_DISK", str(self._directory.resolve()))
        logs = self._directory / "logs"
        own_ingest = ingest_processes(self._options.ingest_count, self._settings.host, port, environ, logs)
        own_worker = worker(environ, logs)
        worker_keepers = self._supervisor.processes(WORKER, [own_worker], _PRODUCT_PATIENCE)
        ingest_keepers = self._supervisor.processes(INGEST, own_ingest, _PRODUCT_PATIENCE)
        async with kept(worker_keepers), kept(ingest_keepers):
            with self._console.step("Starting the collector and its worker"):
                await all_ready([*worker_keepers, *ingest_keepers])
            # One ingest answers for all that share its port.
            yield Watch(own_ingest[:1], [own_worker], self._console, self._clock)

    def _ready_file(self, urls: Urls, port: int, credentials: Seed) -> ReadyFile:
        return ReadyFile(
            url=base_url(self._settings.host, port),
            redis_url=urls.redis,
            database_url=urls.database,
            pids={},
            **asdict(credentials),
        )


def _cause(failures: ExceptionGroup) -> Exception:
    """What went wrong first; a child that refused its settings has said why in its last line."""
    first: Exception = failures
    while isinstance(first, ExceptionGroup):
        first = first.exceptions[0]
    if isinstance(first, NotStarted) and first.status == EXIT_BAD_START and first.last_lines:
        return StartError(first.last_lines[-1].removeprefix("headrace: "))
    return first

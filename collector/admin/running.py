"""How one command of operators runs: asked first where it cannot be undone, then done, then printed."""

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
AsJson = Annotated[bool, typer.Option("--json", help="Print it for a program.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]

View = TypeVar("View")
System = TypeVar("System")


def run(work: "Callable[[Api], Awaitable[View]]", data_dir: Path | None) -> View:
    """What the work answers. A failure is told in one line and ends the command with status 2."""
    from collector.admin.system import open_system  # noqa: PLC0415

    return _run(open_system, work, data_dir)


def run_on_queue(work: "Callable[[Queue], Awaitable[View]]", data_dir: Path | None) -> View:
    """The same for work that needs no Postgres."""
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

    _run_process(main)
    return done[0]


def run_until_stopped(work: "Callable[[Api, Stop], Awaitable[None]]", data_dir: Path | None) -> None:
    """Work until Ctrl-C, which is no failure. Any other is told likewise."""
    from collector.admin.system import open_system  # noqa: PLC0415

    async def main(stop: "Stop") -> None:
        async with open_system(os.environ, data_dir) as api, asyncio.TaskGroup() as tasks:
            working = tasks.create_task(_awaited(work(api, stop)))
            stopping = tasks.create_task(_cancel_at(stop, working))
            working.add_done_callback(lambda _: stopping.cancel())

    _run_process(main)


async def _awaited(work: Awaitable[None]) -> None:
    await work


async def _cancel_at(stop: "Stop", task: asyncio.Task[None]) -> None:
    await stop.wait()
    task.cancel()


def _run_process(main: "Callable[[Stop], Awaitable[None]]") -> None:
    from collector.process.known_settings import unknown_variables  # noqa: PLC0415
    from collector.process.lifecycle import run_process  # noqa: PLC0415
    from collector.process.settings import in_words  # noqa: PLC0415

    _check_arguments()
    for unknown in unknown_variables(os.environ):
        sys.stderr.write(f"headrace: {unknown}\n")
    status = run_process(main, lambda error: in_words(error, os.environ))
    if status:
        raise typer.Exit(status)


def show_one(view: Any, members: Sequence[str], *, as_json: bool) -> None:
    """Print one thing; for people these members of it."""
    from collector.admin import output  # noqa: PLC0415

    sys.stdout.write(output.json_of(view) if as_json else output.text_of_one(view, members))


def show_all(views: Sequence[Any], columns: Sequence[str], *, as_json: bool) -> None:
    """Print several of a kind."""
    from collector.admin import output  # noqa: PLC0415

    sys.stdout.write(output.json_of(views) if as_json else output.table_of(views, columns))


def confirm(what: str, *, yes: bool) -> None:
    """Ask before something that cannot be undone; where nobody can answer, `--yes` must be said."""
    if yes:
        return
    if not sys.stdin.isatty():
        fail(f"this {what}, for ever; say --yes.")
    typer.confirm(f"This {what}, for ever. Go on?", abort=True, err=True)


def new_password() -> str:
    """A password that is typed twice, or the first line of what is piped in; never from the command line."""
    if not sys.stdin.isatty():
        return piped_line()
    password = getpass.getpass("Password: ")
    if getpass.getpass("The same again: ") != password:
        fail("the two are not the same.")
    return password


def piped_line() -> str:
    """The first line of what is piped in."""
    try:
        return sys.stdin.buffer.readline().decode().rstrip("\r\n")
    except UnicodeDecodeError:
        fail("what is piped in is no UTF-8 text.")


def _check_arguments() -> None:
    """Other bytes than text could be stored in part, and not be shown."""
    try:
        "".join(sys.argv).encode()
    except UnicodeEncodeError:
        fail("an argument is no UTF-8 text.")


def fail(why: str) -> NoReturn:
    """End the command with one line."""
    sys.stderr.write(f"headrace: {why}\n")
    raise typer.Exit(2)

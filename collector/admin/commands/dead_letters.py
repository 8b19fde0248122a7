"""`headrace dead-letters`: list, show, replay and discard what could not be stored.

Its bytes are hostile input: none of their control characters reaches the terminal, except with `show --body`.
"""

import sys
from functools import partial
from typing import TYPE_CHECKING, Annotated, Final

import typer

from collector.admin.running import AsJson, DataDir, Yes, confirm, fail, run, show_all, show_one

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    import asyncpg

    from collector.admin.dead_letters import LetterOptions
    from collector.database.writing.kept_letters import LetterSelection
    from collector.database.writing.letter_replay import Step

_COLUMNS: Final = ("accepted", "project", "reason", "bytes", "detail", "id")
_MEMBERS: Final = (
    "id",
    "project_name",
    "project_id",
    "reason",
    "detail",
    "accepted_utc",
    "created_utc",
    "bytes",
    "removed_bytes",
    "can_be_replayed",
)
_CONTENT: Final = ("content_type", "content_encoding", "user_agent", "client_ip")

app = typer.Typer(help="What could not be stored: list, show, replay, discard.", no_args_is_help=True)

_Ids = Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Only the ones with these ids.")]
_Reason = Annotated[str | None, typer.Option(help="Only those with this reason, such as too_large.")]
_Project = Annotated[str | None, typer.Option(help="Only those of this project, by id or name.")]
_Time = Annotated[str, typer.Option(help="When they became dead letters, like `last 24 hours`.")]


@app.command("list")
def list_all(
    *,
    reason: _Reason = None,
    project: _Project = None,
    time: _Time = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="The most to list.")] = 50,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List dead letters, the last accepted first."""
    from collector.admin import dead_letters as work  # noqa: PLC0415

    options = work.LetterOptions((), reason, project, time)
    found = run(partial(work.list_all, options=options, limit=limit), data_dir)
    show_all(found if as_json else [work.row(view) for view in found], _COLUMNS, as_json=as_json)


@app.command()
def show(
    letter: Annotated[str, typer.Argument(metavar="ID", help="The id of the dead letter.")],
    *,
    body: Annotated[
        bool, typer.Option("--body", help="Print only its bytes, as they were received.")
    ] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show one dead letter, with its content as text."""
    from collector.admin import dead_letters as work  # noqa: PLC0415
    from collector.admin import output  # noqa: PLC0415

    if body:
        sys.stdout.buffer.write(run(partial(work.body, letter=letter), data_dir))
        return
    view = run(partial(work.show, letter=letter), data_dir)
    show_one(view, _MEMBERS, as_json=as_json)
    if not as_json:
        show_one(view.content, _CONTENT, as_json=False)
        sys.stdout.write("\n" + output.text_lines(view.content.text.splitlines()))


@app.command()
def replay(  # noqa: PLR0913 - options of a command
    ids: _Ids = None,
    *,
    reason: _Reason = None,
    project: _Project = None,
    time: _Time = "",
    yes: Yes = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Let workers store dead letters as new posts; what still cannot be stored becomes a dead letter again.

    It may be interrupted and repeated: each one is replayed once.
    """
    from collector.admin import dead_letters as work  # noqa: PLC0415
    from collector.database.writing.letter_replay import replay_letters  # noqa: PLC0415

    options = work.LetterOptions(tuple(ids or ()), reason, project, time)
    count = run(partial(work.count, options=options), data_dir)
    if not yes and count.replayable:
        if not sys.stdin.isatty():
            fail(f"this replays {count.replayable:,} dead letters; say --yes.")
        typer.confirm(f"This replays {count.replayable:,} dead letters. Continue?", abort=True, err=True)
    done = _in_steps(options, replay_letters, count.replayable, "Replaying", data_dir)
    _show_done("replayed", done, count.letters - done, as_json=as_json)


@app.command()
def discard(  # noqa: PLR0913 - options of a command
    ids: _Ids = None,
    *,
    reason: _Reason = None,
    project: _Project = None,
    time: _Time = "",
    everything: Annotated[bool, typer.Option("--all", help="All dead letters.")] = False,
    yes: Yes = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Remove dead letters with their bytes; that they existed stays counted."""
    from collector.admin import dead_letters as work  # noqa: PLC0415
    from collector.database.writing.letter_replay import discard_letters  # noqa: PLC0415

    options = work.LetterOptions(tuple(ids or ()), reason, project, time)
    if options.is_everything and not everything:
        fail("say which: ids, --reason, --project, --time, or --all.")
    count = run(partial(work.count, options=options), data_dir)
    if count.letters:
        confirm(f"removes {count.letters:,} dead letters", yes=yes)
    done = _in_steps(options, discard_letters, count.letters, "Discarding", data_dir)
    _show_done("discarded", done, count.letters - done, as_json=as_json)


def _in_steps(
    options: "LetterOptions",
    steps: "Callable[[asyncpg.Pool, LetterSelection], AsyncGenerator[Step]]",
    total: int,
    label: str,
    data_dir: DataDir,
) -> int:
    """Do the work with a progress bar, which is shown only on a terminal."""
    from collector.admin import dead_letters as work  # noqa: PLC0415

    change = partial(work.change, options=options, steps=steps)
    if not sys.stderr.isatty():
        return run(partial(change, progress=lambda _letters: None), data_dir)
    with typer.progressbar(length=total, label=label, file=sys.stderr) as bar:
        return run(partial(change, progress=bar.update), data_dir)


def _show_done(what: str, done: int, left: int, *, as_json: bool) -> None:
    """As JSON an array, like all other results of this command."""
    from collector.admin import output  # noqa: PLC0415

    if as_json:
        sys.stdout.write(output.json_text([{what: done, "left": left}]))
    else:
        sys.stdout.write(f"{what} {done:,}, left {left:,}\n")

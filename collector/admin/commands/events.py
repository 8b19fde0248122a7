"""`headrace events`, `headrace stacks` and `headrace trace`: show what was sent.

Events are hostile input: none of their control characters reaches the terminal.
"""

import sys
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Annotated, Final

import typer

from collector.admin.running import AsJson, DataDir, fail, run, run_until_stopped, show_all

if TYPE_CHECKING:
    from collector.admin.events import ListOptions
    from collector.api.core.service import Api
    from collector.process.lifecycle import Stop

_EVENTS: Final = ("date", "project", "type", "message", "reference_id", "id")
_STACKS: Final = ("last_occurrence", "project", "type", "status", "total", "title", "id")

_Filter = Annotated[
    str,
    typer.Argument(metavar="[FILTER]", help="A filter in the language of docs/filtering.md."),
]
_Project = Annotated[str | None, typer.Option(help="Only this project, by id or name.")]
_Time = Annotated[str, typer.Option(help="A time range: `last 24 hours`, `2026-01-01-2026-02-01`.")]
_Limit = Annotated[int, typer.Option(min=1, max=1000, help="The most to list.")]
_Follow = Annotated[bool, typer.Option("--follow", "-f", help="Also show new events until Ctrl-C.")]


def events(  # noqa: PLR0913 - options of a command
    query: _Filter = "",
    *,
    project: _Project = None,
    time: _Time = "",
    limit: _Limit = 20,
    follow: _Follow = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List events, newest first. With --follow, list them oldest first and continue with new ones."""
    from collector.admin import events as work  # noqa: PLC0415

    if follow and time:
        fail("give only one of --time and --follow.")
    options = work.ListOptions(query, project, time, limit)
    if follow:
        run_until_stopped(partial(_follow, options=options, as_json=as_json), data_dir)
    else:
        show_all(run(partial(_listed, options=options, as_json=as_json), data_dir), _EVENTS, as_json=as_json)


def stacks(
    query: _Filter = "",
    *,
    project: _Project = None,
    time: _Time = "",
    limit: _Limit = 20,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List stacks, the latest occurrence first."""
    from collector.admin import events as work  # noqa: PLC0415

    options = work.ListOptions(query, project, time, limit)
    found = run(partial(work.stacks, options=options), data_dir)
    show_all([each.view if as_json else each.row for each in found], _STACKS, as_json=as_json)


def trace(
    reference: Annotated[str, typer.Argument(metavar="REFERENCE", help="The reference id.")],
    *,
    project: _Project = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show what happened to an event: stored, queued, dead-lettered, or not found (exit status 1)."""
    from collector.admin import events as work  # noqa: PLC0415
    from collector.admin import output  # noqa: PLC0415

    view = run(partial(work.trace, reference=reference, project=project), data_dir)
    sys.stdout.write(output.json_text(view) if as_json else output.text_lines(view.said))
    raise typer.Exit(int(view.verdict == "not_found"))


async def _follow(api: "Api", stop: "Stop", *, options: "ListOptions", as_json: bool) -> None:
    from collector.admin import events as work  # noqa: PLC0415
    from collector.admin import output  # noqa: PLC0415

    async with aclosing(work.followed(api, options, stop)) as found:
        async for each in found:
            line = output.json_line(each.view) if as_json else output.row_line(each.row, _EVENTS)
            sys.stdout.write(line)
            sys.stdout.flush()


async def _listed(api: "Api", *, options: "ListOptions", as_json: bool) -> list[object]:
    from collector.admin import events as work  # noqa: PLC0415

    async with aclosing(work.newest(api, options)) as found:
        return [each.view if as_json else each.row async for each in found]

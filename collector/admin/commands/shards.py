"""The command line of `headrace shards`: the number of streams, and the content of each."""

from functools import partial
from typing import TYPE_CHECKING, Annotated, Final

import typer

from collector.admin.running import AsJson, DataDir, run_on_queue, show_all, show_one

if TYPE_CHECKING:
    from collector.admin.shards import ShardsView

_MEMBERS: Final = ("shards",)
_COLUMNS: Final = ("shard", "accepted_batches", "entries", "in_hand")

app = typer.Typer(help="Show or change the streams that posts are distributed over.")


@app.callback(invoke_without_command=True)
def shards(context: typer.Context, *, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Show or change the streams that posts are distributed over; without a command, show them."""
    if context.invoked_subcommand is None:
        show(data_dir=data_dir, as_json=as_json)


@app.command()
def show(*, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Show the number of shards, and the entries in each stream that was ever used."""
    from collector.admin import shards as work  # noqa: PLC0415

    _show(run_on_queue(work.show, data_dir), as_json=as_json)


@app.command("set")
def change(
    number: Annotated[int, typer.Argument(min=1, help="The new number of streams.")],
    *,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Change the number of shards; works while processes run. Workers empty the streams above the number."""
    from collector.admin import shards as work  # noqa: PLC0415

    _show(run_on_queue(partial(work.change, number=number), data_dir), as_json=as_json)


def _show(view: "ShardsView", *, as_json: bool) -> None:
    show_one(view, _MEMBERS, as_json=as_json)
    if not as_json:
        show_all(view.streams, _COLUMNS, as_json=False)

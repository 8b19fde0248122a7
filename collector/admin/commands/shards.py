"""`headrace shards`: how many streams posts are spread over, and what is in each."""

from functools import partial
from typing import TYPE_CHECKING, Annotated, Final

import typer

from collector.admin.running import AsJson, DataDir, run_on_queue, show_all, show_one

if TYPE_CHECKING:
    from collector.admin.shards import ShardsView

_MEMBERS: Final = ("shards",)
_COLUMNS: Final = ("shard", "accepted_batches", "entries", "in_hand")

app = typer.Typer(help="The streams that posts are spread over.")


@app.callback(invoke_without_command=True)
def shards(context: typer.Context, *, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """The streams that posts are spread over; without a command, show them."""
    if context.invoked_subcommand is None:
        show(data_dir=data_dir, as_json=as_json)


@app.command()
def show(*, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Show the number, and the entries in each stream that was ever used."""
    from collector.admin import shards as work  # noqa: PLC0415

    _show(run_on_queue(work.show, data_dir), as_json=as_json)


@app.command("set")
def change(
    number: Annotated[int, typer.Argument(min=1, help="How many streams there are to be.")],
    *,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Change the number, while processes run or not. Streams above it are emptied by the workers."""
    from collector.admin import shards as work  # noqa: PLC0415

    _show(run_on_queue(partial(work.change, number=number), data_dir), as_json=as_json)


def _show(view: "ShardsView", *, as_json: bool) -> None:
    show_one(view, _MEMBERS, as_json=as_json)
    if not as_json:
        show_all(view.streams, _COLUMNS, as_json=False)

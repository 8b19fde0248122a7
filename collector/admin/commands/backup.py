"""The command lines of `headrace backup` and `headrace restore`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from collector.admin.running import AsJson, DataDir, Yes, confirm, run_main, show_one

if TYPE_CHECKING:
    from collector.process.lifecycle import Stop

_SAVED: Final = ("file", "bytes", "seconds", "postgres", "schema")
_RESTORED: Final = ("file", "seconds", "schema", "migrated", "batches_lost")


def backup(
    file: Annotated[Path, typer.Argument(help="The file to write; it must not exist yet.")],
    *,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Save the whole database to a file, while everything runs."""
    from collector.admin import backup as work  # noqa: PLC0415
    from collector.process.clock import SystemClock  # noqa: PLC0415

    done: list[Any] = []

    async def main(_stop: "Stop") -> None:
        done.append(await work.backup(file, os.environ, data_dir, SystemClock()))

    run_main(main)
    show_one(done[0], _SAVED, as_json=as_json)


def restore(
    file: Annotated[Path, typer.Argument(help="A file that `headrace backup` has written.")],
    *,
    yes: Yes = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Replace the whole database by a backup. Ingest goes on accepting posts meanwhile."""
    from collector.admin import backup as work  # noqa: PLC0415
    from collector.process.clock import SystemClock  # noqa: PLC0415

    confirm("replaces all that is in the database", yes=yes)
    done: list[Any] = []

    async def main(_stop: "Stop") -> None:
        done.append(await work.restore(file, os.environ, data_dir, SystemClock()))

    run_main(main)
    show_one(done[0], _RESTORED, as_json=as_json)

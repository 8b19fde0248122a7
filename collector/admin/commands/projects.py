"""The command line of `headrace project`."""

from functools import partial
from typing import Annotated, Final

import typer

from collector.admin.running import AsJson, DataDir, Yes, confirm, run, show_all, show_one

_COLUMNS: Final = ("id", "name", "organization_id", "organization_name", "created_utc")
_MEMBERS: Final = (*_COLUMNS, "delete_bot_data_enabled", "promoted_tabs", "stack_count", "event_count")

app = typer.Typer(help="Manage projects, which own events.", no_args_is_help=True)

_Project = Annotated[str, typer.Argument(metavar="PROJECT", help="The id or the name.")]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="The name.")],
    *,
    organization: Annotated[str, typer.Option(help="The organization that owns it, by id or name.")],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Create a project."""
    from collector.admin import projects  # noqa: PLC0415

    work = partial(projects.create, name=name, organization=organization)
    show_one(run(work, data_dir), _MEMBERS, as_json=as_json)


@app.command("list")
def list_all(
    *,
    organization: Annotated[str | None, typer.Option(help="Only this organization, by id or name.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List projects, by name."""
    from collector.admin import projects  # noqa: PLC0415

    work = partial(projects.list_all, organization=organization)
    show_all(run(work, data_dir), _COLUMNS, as_json=as_json)


@app.command()
def show(project: _Project, *, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Show one project, with its statistics."""
    from collector.admin import projects  # noqa: PLC0415

    show_one(run(partial(projects.show, name=project), data_dir), _MEMBERS, as_json=as_json)


@app.command()
def delete(project: _Project, *, yes: Yes = False, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Delete a project with its tokens and events."""
    from collector.admin import projects  # noqa: PLC0415

    confirm(f"deletes the project {project} with its tokens and events", yes=yes)
    show_one(run(partial(projects.delete, name=project), data_dir), _MEMBERS, as_json=as_json)

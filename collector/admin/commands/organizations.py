"""The command line of `headrace organization`."""

from functools import partial
from typing import Annotated, Final

import typer

from collector.admin.running import AsJson, DataDir, Yes, confirm, run, show_all, show_one

_COLUMNS: Final = ("id", "name", "is_suspended", "created_utc")
_MEMBERS: Final = (
    *_COLUMNS,
    "updated_utc",
    "retention_days",
    "max_events_per_month",
    "is_over_monthly_limit",
    "project_count",
    "stack_count",
    "event_count",
)

app = typer.Typer(help="Manage organizations, which own projects.", no_args_is_help=True)

_Organization = Annotated[str, typer.Argument(metavar="ORGANIZATION", help="The id or the name.")]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="The name.")],
    *,
    owner: Annotated[str | None, typer.Option(help="The e-mail address of its first member.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Create an organization."""
    from collector.admin import organizations  # noqa: PLC0415

    show_one(run(partial(organizations.create, name=name, owner=owner), data_dir), _MEMBERS, as_json=as_json)


@app.command("list")
def list_all(*, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List all organizations, by name."""
    from collector.admin import organizations  # noqa: PLC0415

    show_all(run(organizations.list_all, data_dir), _COLUMNS, as_json=as_json)


@app.command()
def show(organization: _Organization, *, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Show one organization, with its statistics."""
    from collector.admin import organizations  # noqa: PLC0415

    show_one(run(partial(organizations.show, name=organization), data_dir), _MEMBERS, as_json=as_json)


@app.command()
def disable(organization: _Organization, *, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Suspend an organization: its tokens and posts are refused until `enable`."""
    from collector.admin import organizations  # noqa: PLC0415

    work = partial(organizations.change, name=organization, is_suspended=True)
    show_one(run(work, data_dir), _MEMBERS, as_json=as_json)


@app.command()
def enable(organization: _Organization, *, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Resume a suspended organization."""
    from collector.admin import organizations  # noqa: PLC0415

    work = partial(organizations.change, name=organization, is_suspended=False)
    show_one(run(work, data_dir), _MEMBERS, as_json=as_json)


@app.command()
def limit(
    organization: _Organization,
    events: Annotated[int, typer.Argument(min=0, max=10**15, help="Events per month; 0 means no limit.")],
    *,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Refuse an organization's posts (402) once this many events of a month (UTC) are stored."""
    from collector.admin import organizations  # noqa: PLC0415

    work = partial(organizations.limit, name=organization, events_a_month=events)
    show_one(run(work, data_dir), _MEMBERS, as_json=as_json)


@app.command()
def delete(
    organization: _Organization, *, yes: Yes = False, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """Delete an organization with its projects, tokens and events."""
    from collector.admin import organizations  # noqa: PLC0415

    confirm(f"deletes the organization {organization} with its projects, tokens and events", yes=yes)
    show_one(run(partial(organizations.delete, name=organization), data_dir), _MEMBERS, as_json=as_json)

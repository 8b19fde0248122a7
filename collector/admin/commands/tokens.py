"""The command line of `headrace token`."""

from datetime import datetime
from functools import partial
from typing import Annotated, Final

import typer

from collector.admin.running import (
    AsJson,
    DataDir,
    Yes,
    confirm,
    fail,
    piped_line,
    run,
    show_all,
    show_one,
)

_COLUMNS: Final = (
    "id",
    "organization_id",
    "project_id",
    "scopes",
    "notes",
    "is_disabled",
    "expires_utc",
    "created_utc",
)
_MEMBERS: Final = (*_COLUMNS, "default_project_id", "user_id", "is_suspended", "updated_utc")

app = typer.Typer(help="Manage the tokens with which programs post and read.", no_args_is_help=True)

_Token = Annotated[
    str, typer.Argument(metavar="TOKEN", help="Its first 24 characters, which are not secret.")
]


@app.command()
def create(  # noqa: PLR0913 - options of a command
    *,
    project: Annotated[str | None, typer.Option(help="The project it is for, by id or name.")] = None,
    organization: Annotated[
        str | None, typer.Option(help="The organization it is for, with all projects, by id or name.")
    ] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(help="client, user or global; repeatable.", show_default="client"),
    ] = None,
    notes: Annotated[str | None, typer.Option(help="A note about its use.")] = None,
    expires: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"], help="When it expires, in UTC."),
    ] = None,
    value: Annotated[
        str | None,
        typer.Option(
            help="Import a client token that applications already have; `-` reads it from standard input."
        ),
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Create or import a token. `id` is the whole token; a token that can read is shown only this once."""
    from collector.admin import tokens  # noqa: PLC0415

    if (project is None) == (organization is None):
        fail("give either --project or --organization.")
    if value == "-":
        value = piped_line()
    wanted = tokens.TokenOptions(project, organization, tuple(scope or ()), notes, expires, value)
    show_one(run(partial(tokens.create, wanted=wanted), data_dir), _MEMBERS, as_json=as_json)


@app.command("list")
def list_all(
    *,
    project: Annotated[str | None, typer.Option(help="Only tokens of this project, by id or name.")] = None,
    organization: Annotated[
        str | None,
        typer.Option(help="Only tokens of this organization and its projects, by id or name."),
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List tokens, oldest first; of tokens that can read, only the public part."""
    from collector.admin import tokens  # noqa: PLC0415

    if project is not None and organization is not None:
        fail("give only one of --project and --organization.")
    work = partial(tokens.list_all, project=project, organization=organization)
    show_all(run(work, data_dir), _COLUMNS, as_json=as_json)


@app.command()
def show(token: _Token, *, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Show one token."""
    from collector.admin import tokens  # noqa: PLC0415

    show_one(run(partial(tokens.show, name=token), data_dir), _MEMBERS, as_json=as_json)


@app.command()
def disable(token: _Token, *, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Disable a token immediately, until `enable`."""
    from collector.admin import tokens  # noqa: PLC0415

    show_one(run(partial(tokens.change, name=token, is_disabled=True), data_dir), _MEMBERS, as_json=as_json)


@app.command()
def enable(token: _Token, *, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Enable a disabled token."""
    from collector.admin import tokens  # noqa: PLC0415

    show_one(run(partial(tokens.change, name=token, is_disabled=False), data_dir), _MEMBERS, as_json=as_json)


@app.command()
def delete(token: _Token, *, yes: Yes = False, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Revoke a token permanently."""
    from collector.admin import tokens  # noqa: PLC0415

    confirm(f"revokes the token {token[:24]}", yes=yes)
    show_one(run(partial(tokens.delete, name=token), data_dir), _MEMBERS, as_json=as_json)

"""`headrace token`: the command line of what operators do with the tokens of programs."""

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

app = typer.Typer(help="What programs post and read with.", no_args_is_help=True)

_Token = Annotated[str, typer.Argument(metavar="TOKEN", help="The first 24 characters, which are public.")]


@app.command()
def create(  # noqa: PLR0913 - options of a command
    *,
    project: Annotated[str | None, typer.Option(help="The project that it is for, by id or name.")] = None,
    organization: Annotated[
        str | None, typer.Option(help="The organization all of whose projects it is for, by id or name.")
    ] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(help="client, user or global; repeatable.", show_default="client"),
    ] = None,
    notes: Annotated[str | None, typer.Option(help="What it is for.")] = None,
    expires: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"], help="When it ends, in UTC.")
    ] = None,
    value: Annotated[
        str | None,
        typer.Option(
            help="The client token that applications have already; `-` reads it from what is piped in."
        ),
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Make a token, or bring one along; `id` is the whole token, shown this once if it may more than post."""
    from collector.admin import tokens  # noqa: PLC0415

    if (project is None) == (organization is None):
        fail("say either --project or --organization.")
    if value == "-":
        value = piped_line()
    wanted = tokens.Wanted(project, organization, tuple(scope or ()), notes, expires, value)
    show_one(run(partial(tokens.create, wanted=wanted), data_dir), _MEMBERS, as_json=as_json)


@app.command("list")
def list_all(
    *,
    project: Annotated[str | None, typer.Option(help="Only those for this project, by id or name.")] = None,
    organization: Annotated[
        str | None,
        typer.Option(help="Only those for this organization or one of its projects, by id or name."),
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List them, the oldest first; of tokens that may more than post only the public part."""
    from collector.admin import tokens  # noqa: PLC0415

    if project is not None and organization is not None:
        fail("say only one of --project and --organization.")
    work = partial(tokens.list_all, project=project, organization=organization)
    show_all(run(work, data_dir), _COLUMNS, as_json=as_json)


@app.command()
def show(token: _Token, *, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Show one of them."""
    from collector.admin import tokens  # noqa: PLC0415

    show_one(run(partial(tokens.show, name=token), data_dir), _MEMBERS, as_json=as_json)


@app.command()
def disable(token: _Token, *, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Refuse a token, at once and until `enable`."""
    from collector.admin import tokens  # noqa: PLC0415

    show_one(run(partial(tokens.change, name=token, is_disabled=True), data_dir), _MEMBERS, as_json=as_json)


@app.command()
def enable(token: _Token, *, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Take a disabled token again."""
    from collector.admin import tokens  # noqa: PLC0415

    show_one(run(partial(tokens.change, name=token, is_disabled=False), data_dir), _MEMBERS, as_json=as_json)


@app.command()
def delete(token: _Token, *, yes: Yes = False, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Revoke a token."""
    from collector.admin import tokens  # noqa: PLC0415

    confirm(f"revokes the token {token[:24]}", yes=yes)
    show_one(run(partial(tokens.delete, name=token), data_dir), _MEMBERS, as_json=as_json)

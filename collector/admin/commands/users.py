"""The command line of `headrace user`."""

from functools import partial
from typing import Annotated, Final

import typer

from collector.admin.running import AsJson, DataDir, Yes, confirm, new_password, run, show_all, show_one

_COLUMNS: Final = ("id", "email_address", "full_name", "roles", "is_active", "organization_ids")
_MEMBERS: Final = _COLUMNS

app = typer.Typer(help="Manage the users who log in.", no_args_is_help=True)

_User = Annotated[str, typer.Argument(metavar="USER", help="The e-mail address or the id.")]


@app.command()
def create(
    email: Annotated[str, typer.Argument(help="The e-mail address.")],
    *,
    name: Annotated[str | None, typer.Option(help="The person's name.", show_default="the address")] = None,
    organization: Annotated[
        list[str] | None,
        typer.Option(help="An organization that the user belongs to, by id or name; repeatable."),
    ] = None,
    is_global: Annotated[bool, typer.Option("--global", help="Grant every right.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Create a user. The password is asked for, or read from the first line of standard input."""
    from collector.admin import users  # noqa: PLC0415

    work = partial(
        users.create,
        email=email,
        name=name or email,
        password=new_password(),
        organizations=organization or [],
        is_global=is_global,
    )
    show_one(run(work, data_dir), _MEMBERS, as_json=as_json)


@app.command("list")
def list_all(*, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List all users, by address."""
    from collector.admin import users  # noqa: PLC0415

    show_all(run(users.list_all, data_dir), _COLUMNS, as_json=as_json)


@app.command()
def show(user: _User, *, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Show one user."""
    from collector.admin import users  # noqa: PLC0415

    show_one(run(partial(users.show, name=user), data_dir), _MEMBERS, as_json=as_json)


@app.command()
def disable(user: _User, *, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Disable a user and their tokens immediately, until `enable`."""
    from collector.admin import users  # noqa: PLC0415

    show_one(run(partial(users.change, name=user, is_active=False), data_dir), _MEMBERS, as_json=as_json)


@app.command()
def enable(user: _User, *, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Enable a disabled user and their tokens."""
    from collector.admin import users  # noqa: PLC0415

    show_one(run(partial(users.change, name=user, is_active=True), data_dir), _MEMBERS, as_json=as_json)


@app.command()
def set_password(user: _User, *, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Change a user's password, which ends every login. It is asked for, or read from standard input."""
    from collector.admin import users  # noqa: PLC0415

    work = partial(users.change_password, name=user, password=new_password())
    show_one(run(work, data_dir), _MEMBERS, as_json=as_json)


@app.command()
def delete(user: _User, *, yes: Yes = False, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Delete a user; what they created stays."""
    from collector.admin import users  # noqa: PLC0415

    confirm(f"deletes the user {user}", yes=yes)
    show_one(run(partial(users.delete, name=user), data_dir), _MEMBERS, as_json=as_json)

"""What operators see: tables for people, the api's own answers as JSON for programs.

Texts in tables come from people's requests: no control character of theirs reaches a terminal.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from io import StringIO
from typing import Any, Final

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

_WIDTH_OF_PIPES: Final = 1000
"""Nothing is wrapped or cut there."""


def json_of(view: Any) -> str:
    """The view, or a list of them."""
    return msgspec.json.format(msgspec.json.encode(view), indent=2).decode() + "\n"


def table_of(views: Sequence[Any], columns: Sequence[str]) -> str:
    """One line each, with some of the members."""
    if not views:
        return "none\n"
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for view in views:
        members = _members(view)
        table.add_row(*(_cell(members.get(column)) for column in columns))
    return _printed(table)


def text_of_one(view: Any, members: Sequence[str]) -> str:
    """Some members, each on a line, but what is empty."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column()
    table.add_column(overflow="fold")
    found = _members(view)
    for name in members:
        if text := _cell(found.get(name)):
            table.add_row(name.replace("_", " "), text)
    return _printed(table)


def _members(view: Any) -> dict[str, Any]:
    members = msgspec.to_builtins(view, builtin_types=(datetime,))
    return dict(members)


def _cell(value: Any) -> Text:
    return Text("".join(character if character.isprintable() else "\ufffd" for character in _words(value)))


def _words(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case datetime():
            return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        case str():
            return value
        case Iterable():
            return ", ".join(_words(part) for part in value)
        case _:
            return str(value)


def _printed(table: Table) -> str:
    """Coloured on a terminal, as wide as it is; plain and never wrapped in a pipe."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH_OF_PIPES, file=StringIO())
    with console.capture() as captured:
        console.print(table)
    lines = [line.rstrip() for line in captured.get().splitlines()]
    return "".join(f"{line}\n" for line in lines if line)

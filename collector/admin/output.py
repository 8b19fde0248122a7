"""What operators see: tables for people, the api's own answers as JSON for programs.

Texts in tables come from people's requests: no control character of theirs reaches a terminal.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from io import StringIO
from typing import Any, Final

import msgspec
import orjson
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

_WIDTH_OF_PIPES: Final = 1000
"""Nothing is wrapped or cut there."""


def json_of(view: Any) -> str:
    """The view, or a list of them."""
    # Events hold JSON of their own, which only orjson takes as it is.
    text = orjson.dumps(view, default=msgspec.to_builtins, option=orjson.OPT_UTC_Z).decode()
    return _harmless(msgspec.json.format(text, indent=2)) + "\n"


def json_line_of(view: Any) -> str:
    """The view on one line, for a program that reads them as they come."""
    return _harmless(orjson.dumps(view, option=orjson.OPT_UTC_Z).decode()) + "\n"


def lines_of(texts: Iterable[str]) -> str:
    """Sentences, each on a line of its own."""
    return "".join(f"{printable(text)}\n" for text in texts)


def row_of(row: Mapping[str, Any], columns: Sequence[str]) -> str:
    """Some members of one thing, on a line of its own."""
    return lines_of(["  ".join(_words(row[column]) for column in columns if row[column])])


def printable(text: str) -> str:
    """The text with U+FFFD in place of what a terminal could take for a command, or not show."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


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
    return Text(printable(_words(value)))


def _harmless(text: str) -> str:
    """The same JSON: what is not printable is always in a string, where it can be escaped."""
    if text.replace("\n", "").isprintable():
        return text
    return "".join(
        character if character.isprintable() or character == "\n" else json.dumps(character)[1:-1]
        for character in text
    )


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

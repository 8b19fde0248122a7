"""The output of the operators' commands: tables for people, the API's representations as JSON for programs.

Much of the text comes from clients, so no control character reaches the terminal.
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
"""Wide enough that nothing is wrapped or cut in a pipe."""


def json_text(view: Any) -> str:
    """The view, or a list of views, as indented JSON."""
    # Events contain encoded JSON, which only orjson can embed as it is.
    text = orjson.dumps(view, default=msgspec.to_builtins, option=orjson.OPT_UTC_Z).decode()
    return _escape_unprintable(msgspec.json.format(text, indent=2)) + "\n"


def json_line(view: Any) -> str:
    """The view as JSON on one line, for programs that read a stream of views."""
    return _escape_unprintable(orjson.dumps(view, option=orjson.OPT_UTC_Z).decode()) + "\n"


def text_lines(texts: Iterable[str]) -> str:
    """Each text on a line."""
    return "".join(f"{printable(text)}\n" for text in texts)


def row_line(row: Mapping[str, Any], columns: Sequence[str]) -> str:
    """These columns of the row on one line, without empty ones."""
    return text_lines(["  ".join(_words(row[column]) for column in columns if row[column])])


def printable(text: str) -> str:
    """The text with U+FFFD in place of unprintable characters, which a terminal could execute or hide."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def table(views: Sequence[Any], columns: Sequence[str]) -> str:
    """A table with one line per view."""
    if not views:
        return "none\n"
    rows = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        rows.add_column(column.replace("_", " "), overflow="fold")
    for view in views:
        members = _members(view)
        rows.add_row(*(_cell(members.get(column)) for column in columns))
    return _printed(rows)


def member_list(view: Any, members: Sequence[str]) -> str:
    """These members of one view, each on a line, without empty ones."""
    rows = Table(box=None, show_header=False, pad_edge=False)
    rows.add_column()
    rows.add_column(overflow="fold")
    found = _members(view)
    for name in members:
        if text := _cell(found.get(name)):
            rows.add_row(name.replace("_", " "), text)
    return _printed(rows)


def _members(view: Any) -> dict[str, Any]:
    members = msgspec.to_builtins(view, builtin_types=(datetime,))
    return dict(members)


def _cell(value: Any) -> Text:
    return Text(printable(_words(value)))


def _escape_unprintable(text: str) -> str:
    """The same JSON: unprintable characters occur only in strings, where they can be escaped."""
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
    """Coloured and as wide as the terminal; in a pipe plain and never wrapped."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH_OF_PIPES, file=StringIO())
    with console.capture() as captured:
        console.print(table)
    lines = [line.rstrip() for line in captured.get().splitlines()]
    return "".join(f"{line}\n" for line in lines if line)

"""Settings as tables: for `--help`, and for the page of the documentation."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, get_type_hints

import msgspec

from collector.process.known_settings import MEANINGS
from collector.process.settings import FILE_SUFFIX, PREFIX, SECRETS, Settings, allowed

_REQUIRED: Final = "required"
_FOR_TESTS: Final = "For crash tests only"


_PAGE_HEAD: Final = """\
# Settings

All settings are environment variables. An invalid value stops the start with exit status 2 and one line per
variable; an unknown name that begins with `HEADRACE_` causes a warning. `--help` of each command lists the
variables that it reads. `headrace up` passes the settings of its processes on to them. A secret may stand
in a file instead, as Docker, Kubernetes and systemd do: the variable with `_FILE` at its end names it;
setting both stops the start. `make docs` generates this page.

| variable | default | read by | may hold | meaning |
|---|---|---|---|---|
"""


def settings_table(kinds: Iterable[type[Settings]]) -> str:
    """One line per variable, required ones first; a variable of two classes is listed once."""
    rows: dict[str, tuple[str, str, str]] = {}
    for kind in kinds:
        hints = get_type_hints(kind, include_extras=True)
        for field in msgspec.structs.fields(kind):
            variable = PREFIX + field.name.upper()
            rows.setdefault(variable, (variable, _default(field), allowed(hints[field.name])))
    ordered = sorted(rows.values(), key=lambda row: row[1] != _REQUIRED)
    widths = [max(len(row[column]) for row in ordered) for column in range(2)]
    return "".join(f"  {name:<{widths[0]}}  {held:<{widths[1]}}  {may}\n" for name, held, may in ordered)


def settings_page(kinds: Mapping[str, type[Settings]]) -> str:
    """The page `docs/settings.md`: a row for each variable, with the commands that read it."""
    defaults: dict[str, dict[str, str]] = {}
    may_hold: dict[str, str] = {}
    for command, kind in kinds.items():
        hints = get_type_hints(kind, include_extras=True)
        for field in msgspec.structs.fields(kind):
            defaults.setdefault(field.name, {})[command] = _default(field)
            may_hold.setdefault(field.name, allowed(hints[field.name]))
    page = _PAGE_HEAD
    for name, by_command in sorted(defaults.items()):
        if not MEANINGS[name].startswith(_FOR_TESTS):
            commands = "all" if len(by_command) == len(kinds) else ", ".join(by_command)
            page += f"| `{PREFIX}{name.upper()}` | {_defaults(by_command)} | {commands}"
            page += f" | {may_hold[name]} | {MEANINGS[name]}"
            if name in SECRETS:
                page += f" Or `{PREFIX}{name.upper()}{FILE_SUFFIX}` names a file that holds it."
            page += " |\n"
    return page


def _defaults(by_command: Mapping[str, str]) -> str:
    """One default if all commands agree, otherwise each command's own."""
    # Only `up` can do without the servers' URLs; the row says so in words.
    distinct = {default for default in by_command.values() if default != "-"} or {"-"}
    if len(distinct) == 1:
        [default] = distinct
        return default if default == _REQUIRED else f"`{default}`".replace("`-`", "")
    return ", ".join(f"{command} `{default}`" for command, default in by_command.items() if default != "-")


def _default(field: Any) -> str:
    if field.required:
        return _REQUIRED
    if field.default in {None, "", ()}:
        return "-"
    return str(field.default).lower() if isinstance(field.default, bool) else str(field.default)

"""Settings as a table for people: each variable, what holds where it is not set, and what it may hold."""

from collections.abc import Iterable
from typing import Any, Final, get_type_hints

import msgspec

from collector.process.settings import PREFIX, Settings, allowed

_REQUIRED: Final = "required"


def settings_table(kinds: Iterable[type[Settings]]) -> str:
    """One line a variable, those that must be set first; what two classes share is named once."""
    rows: dict[str, tuple[str, str, str]] = {}
    for kind in kinds:
        hints = get_type_hints(kind, include_extras=True)
        for field in msgspec.structs.fields(kind):
            variable = PREFIX + field.name.upper()
            rows.setdefault(variable, (variable, _default(field), allowed(hints[field.name])))
    ordered = sorted(rows.values(), key=lambda row: row[1] != _REQUIRED)
    widths = [max(len(row[column]) for row in ordered) for column in range(2)]
    return "".join(f"  {name:<{widths[0]}}  {held:<{widths[1]}}  {may}\n" for name, held, may in ordered)


def _default(field: Any) -> str:
    if field.required:
        return _REQUIRED
    if field.default in {None, "", ()}:
        return "-"
    return str(field.default).lower() if isinstance(field.default, bool) else str(field.default)

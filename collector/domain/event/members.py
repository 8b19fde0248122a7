"""Defines the known root members of a raw event and their valid values (contract 3.4, 3.6).

Members are recognized in snake_case, camelCase and PascalCase. Nothing from the sender is lost: values that
do not fit their member, unknown members and repeated members move to `data` under the name that was sent.
Only members that the server sets, and text beyond a limit, are dropped.
"""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final, TypeVar

MAXIMUM_TEXT_LENGTH: Final = 2000
MAXIMUM_TYPE_LENGTH: Final = 100
MAXIMUM_TAG_LENGTH: Final = 100
MAXIMUM_TAGS: Final = 50
MAXIMUM_COUNT: Final = 2**31 - 1

_MEMBERS: Final = (
    "id", "type", "source", "date", "tags", "message", "geo", "value", "count", "data", "reference_id",
)  # fmt: skip
_OF_THE_SERVER: Final = (
    "organization_id", "project_id", "stack_id", "created_utc", "is_first_occurrence", "idx",
)  # fmt: skip
_MEMBER_BY_NAME: Final = {
    spelling: name for name in _MEMBERS + _OF_THE_SERVER for spelling in (name, name.replace("_", ""))
}
_PINNED_TAGS: Final = frozenset({"critical", "internal"})
_NOTHING: Final[tuple[Any, ...]] = (None, "", [])
_GEO: Final = re.compile(r"\s*(-?\d{1,3}(?:\.\d{1,20})?)\s*,\s*(-?\d{1,3}(?:\.\d{1,20})?)\s*", re.ASCII)

Value = TypeVar("Value")


class Members:
    """A raw event's members, taken one by one; `unplaced` collects in order those that fit no column."""

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self._known: dict[str, tuple[str, Any]] = {}
        self.unplaced: list[tuple[str, Any]] = []
        for name, value in raw.items():
            member = _MEMBER_BY_NAME.get(name) or _MEMBER_BY_NAME.get(name.lower())
            if member is None or member in self._known:
                self.unplaced.append((name, value))
            elif value not in _NOTHING:
                self._known[member] = (name, value)

    def take(self, member: str, converted: Callable[[Any], Value | None]) -> Value | None:
        """The member's converted value; None if it is absent or cannot be converted."""
        name, value = self._known.pop(member, (member, None))
        if value is None:
            return None
        result = converted(value)
        if result is None:
            self.unplaced.append((name, value))
        return result


def as_text(value: Any) -> str | None:
    """A string, or a number or boolean as a string; None for anything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | Decimal) else None


def as_object(value: Any) -> dict[str, Any] | None:
    """An object; None for anything else."""
    return value if isinstance(value, dict) else None


def as_number(value: Any) -> Decimal | None:
    """A number; one out of bounds was decoded as a string before."""
    return Decimal(value) if isinstance(value, int | Decimal) and not isinstance(value, bool) else None


def as_count(value: Any) -> int | None:
    """A whole number within the range of the column."""
    number = as_number(value)
    if number is None or not 0 <= number <= MAXIMUM_COUNT or number != int(number):
        return None
    return int(number)


def as_geo(value: Any) -> str | None:
    """Coordinates as `lat,lon` in degrees, without spaces."""
    found = _GEO.fullmatch(value) if isinstance(value, str) else None
    if found is None or abs(Decimal(found[1])) > 90 or abs(Decimal(found[2])) > 180:  # noqa: PLR2004 - degrees
        return None
    return f"{found[1]},{found[2]}"


def as_tags(value: Any) -> tuple[str, ...] | None:
    """Tags, unique ignoring case, none empty or overlong; the limit never drops `Critical` and `Internal`."""
    distinct: dict[str, str] = {}
    for tag in value if isinstance(value, list) else [value]:
        text = "" if tag is None else as_text(tag)
        if text is None:
            return None
        if text.strip() and len(text) <= MAXIMUM_TAG_LENGTH:
            distinct.setdefault(text.casefold(), text)
    if len(distinct) <= MAXIMUM_TAGS:
        return tuple(distinct.values())
    # Too many: the first ones, and those that may not be dropped wherever they stand.
    room = MAXIMUM_TAGS - len(_PINNED_TAGS & distinct.keys())
    ordinary = [key for key in distinct if key not in _PINNED_TAGS]
    kept = _PINNED_TAGS.union(ordinary[:room])
    return tuple(text for key, text in distinct.items() if key in kept)

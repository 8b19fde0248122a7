"""The order of a list of events, and places in it: what the parameters `sort`, `before` and `after` say.

A place is the last event's values of the order's keys and its id, so that a list goes on where it was left,
whatever was stored meanwhile.
"""

import base64
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from uuid import UUID

import msgspec

from collector.domain.errors import BadRequest
from collector.domain.filter.parser import is_storable

DATE: Final = "date"
_TYPES: Final[dict[str, type]] = {
    "date": datetime,
    "created": datetime,
    "value": Decimal,
    "count": int,
    "type": str,
    "source": str,
    "reference": str,
}
_ALIASES: Final = {"created_utc": "created", "reference_id": "reference"}
_MOST_KEYS: Final = 3
_HIGHEST_COUNT: Final = 2**31
_MOST_DIGITS: Final = 2000
_NO_PLACE: Final = (
    ValueError,
    TypeError,
    AttributeError,
    OverflowError,
    InvalidOperation,
    msgspec.DecodeError,
)
"""What garbage in the place of a token raises."""


@dataclass(frozen=True, slots=True)
class Key:
    """One of the values that decide."""

    name: str
    is_descending: bool


@dataclass(frozen=True, slots=True)
class Order:
    """What decides first, second ...; among equals the id decides, in the direction of the first key."""

    keys: tuple[Key, ...]

    @property
    def is_by_date(self) -> bool:
        """Whether the date alone decides."""
        return len(self.keys) == 1 and self.keys[0].name == DATE

    @property
    def is_descending(self) -> bool:
        """The direction of the first key."""
        return self.keys[0].is_descending

    @property
    def reversed(self) -> "Order":
        """The same from its end."""
        return Order(tuple(Key(key.name, not key.is_descending) for key in self.keys))


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where an event stands in an order."""

    values: tuple[Any, ...]
    id: UUID

    @property
    def token(self) -> str:
        """As it stands in a link."""
        written = msgspec.json.encode([*map(_written, self.values), self.id.hex])
        return base64.urlsafe_b64encode(written).decode().rstrip("=")


NEWEST_FIRST: Final = Order((Key(DATE, is_descending=True),))


def parse_order(text: str) -> Order:
    """The order that `sort` names: `-date`, `value`, `-count,date`. Raises BadRequest."""
    names = [part.strip().lower() for part in text.split(",") if part.strip()]
    keys = [Key(_name(name.lstrip("+-")), name.startswith("-")) for name in names]
    if len(keys) > _MOST_KEYS or len({key.name for key in keys}) < len(keys):
        raise BadRequest(f"The parameter `sort` takes {_MOST_KEYS} different names at most.")
    return Order(tuple(keys)) if keys else NEWEST_FIRST


def parse_cursor(token: str, order: Order, name: str) -> Cursor:
    """The place in a list of this order that the parameter `name` holds. Raises BadRequest."""
    try:
        *written, last = msgspec.json.decode(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        values = tuple(_read(text, key) for text, key in zip(written, order.keys, strict=True))
        return Cursor(values, UUID(hex=last))
    except _NO_PLACE:
        raise BadRequest(f"The parameter `{name}` is no place in a list in this order.") from None


def _name(name: str) -> str:
    name = _ALIASES.get(name, name)
    if name not in _TYPES:
        raise BadRequest(f"The parameter `sort` must name one of {', '.join(_TYPES)}.")
    return name


def _written(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _read(text: Any, key: Key) -> Any:
    if not isinstance(text, str) or not is_storable(text):
        raise TypeError
    type_ = _TYPES[key.name]
    if type_ is datetime:
        return datetime.fromisoformat(text).astimezone(UTC)
    value = type_(text)
    if isinstance(value, int) and not -_HIGHEST_COUNT <= value < _HIGHEST_COUNT:
        raise ValueError
    if isinstance(value, Decimal) and value.is_finite() and abs(value.adjusted()) > _MOST_DIGITS:
        raise ValueError
    return value

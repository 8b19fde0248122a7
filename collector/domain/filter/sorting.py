"""The order of a list of events and cursors into it: the parameters `sort`, `before` and `after`.

A cursor holds an event's values of the sort keys and its id, so that the next page continues after that event
whatever has been stored in the meantime.
"""

import base64
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from uuid import UUID

import msgspec

from collector.domain.errors import BadRequest
from collector.domain.jsonb.check import is_storable_text

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
_INVALID_CURSOR: Final = (
    ValueError,
    TypeError,
    AttributeError,
    OverflowError,
    RecursionError,
    InvalidOperation,
    msgspec.DecodeError,
)
"""What decoding an invalid token may raise."""


@dataclass(frozen=True, slots=True)
class Key:
    """A sort key."""

    name: str
    is_descending: bool


@dataclass(frozen=True, slots=True)
class Order:
    """Sort keys by precedence; ties are broken by id, in the direction of the first key."""

    keys: tuple[Key, ...]

    @property
    def is_by_date(self) -> bool:
        """Whether the date is the only key."""
        return len(self.keys) == 1 and self.keys[0].name == DATE

    @property
    def is_descending(self) -> bool:
        """The direction of the first key."""
        return self.keys[0].is_descending

    @property
    def reversed(self) -> "Order":
        """The opposite order."""
        return Order(tuple(Key(key.name, not key.is_descending) for key in self.keys))


@dataclass(frozen=True, slots=True)
class Cursor:
    """The position of an event in an order."""

    values: tuple[Any, ...]
    id: UUID

    @property
    def token(self) -> str:
        """The cursor as links carry it: base64url of the JSON array of its values and id, as strings."""
        values = [value.isoformat() if isinstance(value, datetime) else str(value) for value in self.values]
        return base64.urlsafe_b64encode(msgspec.json.encode([*values, self.id.hex])).decode().rstrip("=")


NEWEST_FIRST: Final = Order((Key(DATE, is_descending=True),))


def parse_order(text: str) -> Order:
    """Parse the parameter `sort`: `-date`, `value`, `-count,date`. Raises BadRequest."""
    names = [part.strip().lower() for part in text.split(",") if part.strip()]
    keys = []
    for written in names:
        name = written.lstrip("+-")
        name = _ALIASES.get(name, name)
        if name not in _TYPES:
            raise BadRequest(f"The parameter `sort` must name one of {', '.join(_TYPES)}.")
        keys.append(Key(name, written.startswith("-")))
    if len(keys) > _MOST_KEYS or len({key.name for key in keys}) < len(keys):
        raise BadRequest(f"The parameter `sort` takes at most {_MOST_KEYS} different names.")
    return Order(tuple(keys)) if keys else NEWEST_FIRST


def parse_cursor(token: str, order: Order, name: str) -> Cursor:
    """Decode the cursor in the parameter `name` for a list in this order. Raises BadRequest."""
    try:
        # Links carry it without the padding of base64.
        *texts, last = msgspec.json.decode(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        values = tuple(_decode_value(text, key) for text, key in zip(texts, order.keys, strict=True))
        return Cursor(values, UUID(hex=last))
    except _INVALID_CURSOR:
        raise BadRequest(f"The parameter `{name}` is not a cursor of a list in this order.") from None


def _decode_value(text: Any, key: Key) -> Any:
    if not isinstance(text, str) or not is_storable_text(text):
        raise TypeError
    type_ = _TYPES[key.name]
    if type_ is datetime:
        return datetime.fromisoformat(text).astimezone(UTC)
    # Values that Postgres could not compare with the column are invalid.
    value = type_(text)
    if isinstance(value, int) and not -_HIGHEST_COUNT <= value < _HIGHEST_COUNT:
        raise ValueError
    if isinstance(value, Decimal) and value.is_finite() and abs(value.adjusted()) > _MOST_DIGITS:
        raise ValueError
    return value

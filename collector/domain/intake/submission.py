"""An event written into a query string (contract 3.7), for pixels and shell scripts."""

import re
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from collector.domain.dates.written_date import written_date
from collector.domain.event.date import parse_date
from collector.domain.project.patterns import Patterns

_CREDENTIALS: Final = frozenset({"access_token", "api_key", "apikey"})
_TEXTS: Final = {
    "type": "type",
    "source": "source",
    "message": "message",
    "reference": "reference_id",
    "geo": "geo",
}
_DATE: Final = "date"
_NUMBERS: Final = ("count", "value")
_TAGS: Final = "tags"
_USER: Final = {"identity": "identity", "identity.name": "name", "identityname": "name"}
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,30}(?:\.[0-9]{1,30})?", re.ASCII)


def submitted_event(
    parameters: Iterable[tuple[str, str]], path_type: str, exclusions: Patterns, now: datetime
) -> dict[str, Any] | None:
    """The event in version 2's form; None where no parameter says anything. `now` is the time of acceptance.

    Unknown parameters become data, unless `exclusions` name them.
    """
    given = _given(parameters)
    if not given:
        return None
    event: dict[str, Any] = {"type": path_type} if path_type else {}
    data: dict[str, Any] = {}
    user: dict[str, str] = {}
    for name, (written, values) in given.items():
        if name == _DATE:
            event[name] = _date(values[0], now)
        elif name in _TEXTS:
            event[_TEXTS[name]] = values[0]
        elif name in _NUMBERS:
            event[name] = _number(values[0])
        elif name == _TAGS:
            event[name] = [tag for value in values for part in value.split(",") if (tag := part.strip())]
        elif name in _USER:
            user.setdefault(_USER[name], values[0])
        elif not exclusions.match(written):
            data[written] = values if len(values) > 1 else values[0]
    if user:
        data["@user"] = user
    return {**event, "data": data} if data else event


def _given(parameters: Iterable[tuple[str, str]]) -> dict[str, tuple[str, list[str]]]:
    """What says something, by lower-case name: the name as first written, and every value."""
    given: dict[str, tuple[str, list[str]]] = {}
    for name, value in parameters:
        if name and value and name.lower() not in _CREDENTIALS:
            given.setdefault(name.lower(), (name, []))[1].append(value)
    return given


def _date(text: str, now: datetime) -> str:
    """In ISO 8601, in which events are posted; what names no date stays as it is."""
    if parse_date(text, now) is not None:
        return text
    moment = written_date(text, now)
    return text if moment is None else moment.isoformat()


def _number(text: str) -> Decimal | str:
    """A number; any other text stays one and ends up in the event's data."""
    text = text.strip()
    return Decimal(text) if _NUMBER.fullmatch(text) else text

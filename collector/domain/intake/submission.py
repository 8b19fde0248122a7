"""Builds an event from a query string (contract 3.7), for tracking pixels and shell scripts."""

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
    """The event in the form of version 2, None if no parameter has a value; `now` is the time of acceptance.

    Unknown parameters become members of `data` unless they match `exclusions`.
    """
    by_name = _group_by_name(parameters)
    if not by_name:
        return None
    event: dict[str, Any] = {"type": path_type} if path_type else {}
    data: dict[str, Any] = {}
    user: dict[str, str] = {}
    for name, (written, values) in by_name.items():
        if name == _DATE:
            # Other formats become ISO 8601, the format of posted events; what is no date stays unchanged.
            moment = None if parse_date(values[0], now) else written_date(values[0], now)
            event[name] = values[0] if moment is None else moment.isoformat()
        elif name in _TEXTS:
            event[_TEXTS[name]] = values[0]
        elif name in _NUMBERS:
            # A text that is not a number stays text and ends up in the event's `data`.
            text = values[0].strip()
            event[name] = Decimal(text) if _NUMBER.fullmatch(text) else text
        elif name == _TAGS:
            event[name] = [tag for value in values for part in value.split(",") if (tag := part.strip())]
        elif name in _USER:
            user.setdefault(_USER[name], values[0])
        elif not exclusions.match(written):
            data[written] = values if len(values) > 1 else values[0]
    if user:
        data["@user"] = user
    return {**event, "data": data} if data else event


def _group_by_name(parameters: Iterable[tuple[str, str]]) -> dict[str, tuple[str, list[str]]]:
    """By lower-case name: the name as first written and all values; without credentials and empty values."""
    by_name: dict[str, tuple[str, list[str]]] = {}
    for name, value in parameters:
        if name and value and name.lower() not in _CREDENTIALS:
            by_name.setdefault(name.lower(), (name, []))[1].append(value)
    return by_name

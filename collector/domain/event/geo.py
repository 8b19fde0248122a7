"""Where an event happened, looked up by the addresses it tells, where a file of places is configured.

Coordinates that the sender gives stand. Else the first address counts that has a place: the one given as
`geo`, the request's, the machine's, the sender's.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final, NamedTuple, Protocol

from collector.domain.addresses import parse_address
from collector.domain.event.data import SUBMISSION_CLIENT

LOCATION: Final = "@location"

_MOST_ADDRESSES: Final = 8
_LONGEST_ADDRESS: Final = 45
_SOURCES: Final = (
    ("@request", "client_ip_address"),
    ("@environment", "ip_address"),
    (SUBMISSION_CLIENT, "ip_address"),
)


class Location(NamedTuple):
    """`geo` as `lat,lon`; the location's members are `country`, `level1` and `locality`, as far as known."""

    geo: str
    location: dict[str, str]


class LocationFinder(Protocol):
    """Who knows where an address is."""

    def find(self, address: str) -> Location | None:
        """The place of an IPv4 or IPv6 address, if it is known."""


def find_location(data: Mapping[str, Any], locations: LocationFinder) -> Location | None:
    """The place of an event with this data, all its rules applied."""
    addresses = islice(_addresses(data), _MOST_ADDRESSES)
    return next(filter(None, map(locations.find, addresses)), None)


def is_address(value: Any) -> bool:
    """Whether it is the text of an IPv4 or IPv6 address."""
    return isinstance(value, str) and len(value) <= _LONGEST_ADDRESS and parse_address(value) is not None


def _addresses(data: Mapping[str, Any]) -> Iterator[str]:
    texts = [data.get("geo")]
    for name, member in _SOURCES:
        known = data.get(name)
        texts.append(known.get(member) if isinstance(known, dict) else None)
    for text in texts:
        if isinstance(text, str):
            named = map(str.strip, text.split(",", _MOST_ADDRESSES))
            yield from (str(address) for one in named if (address := parse_address(one)) is not None)

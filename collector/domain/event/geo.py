"""Looks up where an event happened by its IP addresses, if a geo database is configured.

Coordinates from the sender take precedence. Otherwise the first address with a known location counts, in the
order: `geo`, the request's client, the machine, the submission client.
"""

from collections.abc import Mapping
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
    """`geo` is `lat,lon`; `location` has those of `country`, `level1` and `locality` that are known."""

    geo: str
    location: dict[str, str]


class LocationFinder(Protocol):
    """Looks up the location of an IP address."""

    def find(self, address: str) -> Location | None:
        """The location of an IPv4 or IPv6 address, or None if it is unknown."""


def find_location(data: Mapping[str, Any], locations: LocationFinder) -> Location | None:
    """The location of an event by its data, to which all rules have been applied."""
    texts = [data.get("geo")]
    for name, member in _SOURCES:
        known = data.get(name)
        texts.append(known.get(member) if isinstance(known, dict) else None)
    # A machine or a chain of proxies may list several addresses in one text.
    named = (
        part.strip() for text in texts if isinstance(text, str) for part in text.split(",", _MOST_ADDRESSES)
    )
    addresses = (str(address) for each in named if (address := parse_address(each)) is not None)
    return next(filter(None, map(locations.find, islice(addresses, _MOST_ADDRESSES))), None)


def is_address(value: Any) -> bool:
    """Whether the value is a string with an IPv4 or IPv6 address."""
    return isinstance(value, str) and len(value) <= _LONGEST_ADDRESS and parse_address(value) is not None

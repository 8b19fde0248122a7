"""Addresses of the network, in one spelling each.

An IPv4-mapped address (`::ffff:203.0.113.9`) is the IPv4 address that it stands for: which of them a program
sees depends on how its socket was opened, not on who sent the request.
"""

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

Address = IPv4Address | IPv6Address

_LONGEST: Final = 64
"""45 characters, and a zone behind them."""
MAPPED_PREFIX: Final = "::ffff:"


def parse_address(text: str) -> Address | None:
    """The address that a text is, mapped ones as IPv4 and without a zone; None for any other text."""
    return _address_in(text) if len(text) <= _LONGEST else None


def canonical(text: str) -> str:
    """The one spelling of an address; any other text as it is."""
    address = parse_address(text)
    return text if address is None else str(address)


def spellings(text: str) -> tuple[str, ...]:
    """How programs write an address, in lower case, the usual spelling first; none for other texts."""
    address = parse_address(text)
    if not isinstance(address, IPv4Address):
        return () if address is None else (str(address),)
    high, low = divmod(int(address), 1 << 16)
    return str(address), f"{MAPPED_PREFIX}{address}", f"{MAPPED_PREFIX}{high:x}:{low:x}"


# Addresses repeat, and a post comes with one.
@lru_cache(maxsize=4096)
def _address_in(text: str) -> Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv4Address):
        return address
    return address.ipv4_mapped or IPv6Address(int(address))

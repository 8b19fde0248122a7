"""IP addresses, each in one canonical spelling.

An IPv4-mapped address (`::ffff:203.0.113.9`) counts as the IPv4 address inside it: which of the two a program
sees depends on how its socket was opened, not on who sent the request.
"""

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

Address = IPv4Address | IPv6Address

_LONGEST: Final = 64
"""45 characters for the address itself; the rest leaves room for a zone."""
MAPPED_PREFIX: Final = "::ffff:"


def parse_address(text: str) -> Address | None:
    """Parse an IP address, mapped ones as IPv4 and without a zone; None for any other text."""
    return _parse_address(text) if len(text) <= _LONGEST else None


def canonical(text: str) -> str:
    """The canonical spelling of an address; any other text unchanged."""
    address = parse_address(text)
    return text if address is None else str(address)


def spellings(text: str) -> tuple[str, ...]:
    """All spellings of an address, in lower case, the canonical one first; empty for any other text."""
    address = parse_address(text)
    if not isinstance(address, IPv4Address):
        return () if address is None else (str(address),)
    high, low = divmod(int(address), 1 << 16)
    return str(address), f"{MAPPED_PREFIX}{address}", f"{MAPPED_PREFIX}{high:x}:{low:x}"


# Every post carries an address, and few distinct clients send most of the posts.
@lru_cache(maxsize=4096)
def _parse_address(text: str) -> Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv4Address):
        return address
    return address.ipv4_mapped or IPv6Address(int(address))

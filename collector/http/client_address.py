"""Who sent a request: the peer, or what a proxy that we trust says of it. Nobody else is believed.

Exactly one header is believed, since a proxy that writes one passes the client's own other ones through. It
is read from its end: a proxy appends what it saw, and everything before that may be the client's invention.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from itertools import islice
from typing import Final

from aiohttp import hdrs, web
from multidict import MultiMapping, istr

from collector.domain.addresses import Address, canonical, parse_address
from collector.process.lifecycle import StartError

Networks = Sequence[IPv4Network | IPv6Network]

_DEFAULT_HEADER: Final = istr("x-forwarded-for")
_FORWARDED: Final = "forwarded"
_FORWARDED_PROTO: Final = istr("X-Forwarded-Proto")
_SCHEMES: Final = frozenset({"http", "https"})
_HOPS_AT_MOST: Final = 32
"""More proxies in a row are none: what stands before them is not looked at."""

_MAPPED: Final = IPv6Network("::ffff:0:0/96")
_OF_ONE_CLIENT: Final = 64
"""The bits of an IPv6 address that name a client's network, in which it chooses addresses as it likes."""

_PORT: Final = re.compile(r":(?:[0-9]{1,5}|_[A-Za-z0-9._-]{1,32})")
_PAIR: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+=(?:\"(?:[^\"\\]|\\.)*\"|[^\s\",;=\\]+)"
_ELEMENT: Final = re.compile(rf"[ \t]*{_PAIR}[ \t]*(?:;[ \t]*(?:{_PAIR}[ \t]*)?)*")
_PAIRS: Final = re.compile(_PAIR)
_LONGEST_ELEMENT: Final = 1024
_ESCAPED: Final = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class TrustedProxies:
    """The networks of our proxies, and the one header in which they name the client."""

    networks: Networks = ()
    header: istr = _DEFAULT_HEADER

    def hold(self, address: Address | None) -> bool:
        """Whether the address is one of theirs."""
        return address is not None and any(address in network for network in self.networks)


def trusted_proxies(networks: Iterable[str], header: str) -> TrustedProxies:
    """What `HEADRACE_TRUSTED_PROXIES` and `HEADRACE_PROXY_HEADER` say. Raises StartError."""
    return TrustedProxies(trusted_networks(networks), istr(header.lower()))


def trusted_networks(settings: Iterable[str]) -> Networks:
    """The networks that `HEADRACE_TRUSTED_PROXIES` names. Raises StartError for one that is none."""
    networks: list[IPv4Network | IPv6Network] = []
    for text in settings:
        try:
            networks.append(_unmapped(ip_network(text, strict=False)))
        except ValueError:
            raise StartError(
                f"HEADRACE_TRUSTED_PROXIES holds {text!r}; it must be a comma-separated list of addresses or "
                "networks like 10.0.0.0/8."
            ) from None
    return tuple(networks)


def client_address(request: web.BaseRequest, proxies: TrustedProxies) -> str:
    """The client's address; empty when unknown."""
    return address_behind(request.remote or "", request.headers, proxies)


def address_behind(peer: str, headers: MultiMapping[str], proxies: TrustedProxies) -> str:
    """The last address in the believed header that is no proxy of ours, or the peer where that is none."""
    if proxies.networks and (address := parse_address(peer)) is not None and proxies.hold(address):
        address, _ = _client(address, headers, proxies)
        return str(address)
    # The kernel spells IPv4 addresses in one way.
    return canonical(peer) if ":" in peer else peer


def counted_address(request: web.BaseRequest, proxies: TrustedProxies) -> str:
    """Whom limits count: an IPv4 address, or the network that an IPv6 client has for itself."""
    text = client_address(request, proxies)
    address = parse_address(text)
    if address is None or address.version == 4:  # noqa: PLR2004 - the protocol's version
        return text
    return str(IPv6Network((int(address), _OF_ONE_CLIENT), strict=False))


def client_scheme(request: web.BaseRequest, proxies: TrustedProxies) -> str:
    """`https` also where a proxy that we trust took the request so; else what we see ourselves."""
    peer = parse_address(request.remote or "")
    if peer is None or not proxies.hold(peer):
        return request.scheme
    _, hops = _client(peer, request.headers, proxies)
    if proxies.header == _FORWARDED:
        schemes: Iterator[str] = (element.get("proto", "") for element in _elements(request.headers))
    else:
        schemes = _listed(request.headers, _FORWARDED_PROTO)
    # What the hop that saw the client says; proxies that hand on one word for all of them write just that.
    said = [scheme.lower() for scheme in islice(schemes, max(hops, 1))]
    return said[-1] if said and said[-1] in _SCHEMES else request.scheme


def _client(peer: Address, headers: MultiMapping[str], proxies: TrustedProxies) -> tuple[Address, int]:
    """The first address from the end that is no proxy of ours, and how many hops were looked at.

    What is no address ends the search: the last proxy of ours is all that is known then.
    """
    looked_at = 0
    for hop in islice(_hops(headers, proxies), _HOPS_AT_MOST):
        looked_at += 1
        address = _address_of_node(hop)
        if address is None:
            break
        peer = address
        if not proxies.hold(peer):
            break
    return peer, looked_at


def _hops(headers: MultiMapping[str], proxies: TrustedProxies) -> Iterator[str]:
    """Who sent the request on, the last one first."""
    if proxies.header == _FORWARDED:
        return (element.get("for", "") for element in _elements(headers))
    return _listed(headers, proxies.header)


def _listed(headers: MultiMapping[str], name: str) -> Iterator[str]:
    """All lines of a header as one list, from its end; empty entries say nothing."""
    for line in reversed(headers.getall(name, ())):
        yield from filter(None, (entry.strip(" \t") for entry in reversed(line.split(","))))


def _elements(headers: MultiMapping[str]) -> Iterator[Mapping[str, str]]:
    """The elements of `Forwarded` (RFC 7239), from its end; what is none is empty, and the last one."""
    for line in reversed(headers.getall(hdrs.FORWARDED, ())):
        rest = line.strip(" \t")
        while rest:
            rest, element = _last_element(rest)
            if element is not None:
                yield element


def _last_element(text: str) -> tuple[str, Mapping[str, str] | None]:
    """What stands before the last element, and its pairs by lower-case name; None where it is empty.

    The last element is the shortest one at the end that is well formed. So a quote that a client has left
    open swallows nothing that a proxy has appended, and a comma in a quoted text ends nothing: what stands
    behind it ends in a quote that was never opened.
    """
    comma = len(text)
    while comma >= 0 and len(text) - comma <= _LONGEST_ELEMENT:
        comma = text.rfind(",", 0, comma)
        tail = text[comma + 1 :]
        if not tail.strip(" \t"):
            return text[: max(comma, 0)], None
        if _ELEMENT.fullmatch(tail):
            return text[: max(comma, 0)], _pairs(tail)
    return "", {}


def _pairs(element: str) -> Mapping[str, str]:
    pairs: dict[str, str] = {}
    for pair in _PAIRS.findall(element):
        name, _, value = pair.partition("=")
        if pairs.setdefault(name.lower(), value) is not value:
            return {}  # the same twice: no telling which of them is meant
    return {name: _unquoted(value) for name, value in pairs.items()}


def _unquoted(text: str) -> str:
    if len(text) > 1 and text.startswith('"') and text.endswith('"'):
        return _ESCAPED.sub(r"\1", text[1:-1])
    return text


def _address_of_node(text: str) -> Address | None:
    """An address, also with a port (`203.0.113.9:5123`, `[2001:db8::1]:5123`), in brackets or quotes."""
    text = _unquoted(text)
    port = ""
    if text.startswith("["):
        text, bracket, port = text[1:].partition("]")
        if not bracket or ":" not in text:
            return None
    elif text.count(":") == 1:
        text, _, port = text.partition(":")
        port = ":" + port
    if port and _PORT.fullmatch(port) is None:
        return None
    return parse_address(text)


def _unmapped(network: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    """A network of mapped addresses as the one of IPv4 addresses that it is."""
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        bits = network.prefixlen - _MAPPED.prefixlen
        return IPv4Network((int(network.network_address) & 0xFFFF_FFFF, bits))
    return network

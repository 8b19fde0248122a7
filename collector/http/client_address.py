"""The address of the client that sent a request: the peer's, or the one that a trusted proxy reports.

Only one header is trusted, because a proxy that writes one header passes the client's other ones through. It
is read from its end: a proxy appends what it saw, and the client may have invented everything before that.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from itertools import islice
from typing import Final

import structlog
from aiohttp import hdrs, web
from multidict import MultiMapping, istr

from collector.domain.addresses import Address, canonical, parse_address
from collector.process.lifecycle import StartError

_log = structlog.get_logger()

Networks = Sequence[IPv4Network | IPv6Network]

_DEFAULT_HEADER: Final = istr("x-forwarded-for")
_FORWARDED: Final = "forwarded"
_FORWARDED_PROTO: Final = istr("X-Forwarded-Proto")
_SCHEMES: Final = frozenset({"http", "https"})
_HOPS_AT_MOST: Final = 32
"""Entries beyond this many are not looked at: no installation has a longer chain of proxies."""

_WARNINGS_AT_MOST: Final = 16

_MAPPED: Final = IPv6Network("::ffff:0:0/96")
_CLIENT_PREFIX_BITS: Final = 64
"""The prefix of a client's IPv6 network, in which it chooses addresses freely."""

_PORT: Final = re.compile(r":(?:[0-9]{1,5}|_[A-Za-z0-9._-]{1,32})")
_PAIR: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+=(?:\"(?:[^\"\\]|\\.)*\"|[^\s\",;=\\]+)"
_ELEMENT: Final = re.compile(rf"[ \t]*{_PAIR}[ \t]*(?:;[ \t]*(?:{_PAIR}[ \t]*)?)*")
_PAIRS: Final = re.compile(_PAIR)
_LONGEST_ELEMENT: Final = 1024
_ESCAPED: Final = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class TrustedProxies:
    """The networks of our proxies, and the header in which they name the client."""

    networks: Networks = ()
    header: istr = _DEFAULT_HEADER
    _warned: set[str] = field(default_factory=set, compare=False)
    """Peers that were named in a warning, `_WARNINGS_AT_MOST` at most."""

    def contain(self, address: Address | None) -> bool:
        """Whether the address is in one of the networks."""
        return address is not None and any(address in network for network in self.networks)


NO_PROXIES: Final = TrustedProxies()


def trusted_proxies(networks: Iterable[str], header: str) -> TrustedProxies:
    """The proxies that `HEADRACE_TRUSTED_PROXIES` and `HEADRACE_PROXY_HEADER` name. Raises StartError."""
    return TrustedProxies(trusted_networks(networks), istr(header.lower()))


def warn_of_untrusted_proxy(request: web.BaseRequest, proxies: TrustedProxies) -> None:
    """Warn once of each of the first peers that name a client in the header but are not trusted proxies.

    If such a peer is a proxy of ours, all its clients are taken for one.
    """
    peer, warned = request.remote or "", proxies._warned  # noqa: SLF001 - of this module
    if proxies.header not in request.headers or peer in warned or len(warned) >= _WARNINGS_AT_MOST:
        return
    address = parse_address(peer)
    if address is None or proxies.contain(address):
        return
    warned.add(peer)
    _log.warning(
        f"a peer that is not in HEADRACE_TRUSTED_PROXIES sends {proxies.header}, which is ignored; "
        "if it is your proxy, name it there, or all its clients count as one",
        peer=peer,
    )


def trusted_networks(settings: Iterable[str]) -> Networks:
    """The networks that `HEADRACE_TRUSTED_PROXIES` names. Raises StartError for an invalid one."""
    networks: list[IPv4Network | IPv6Network] = []
    for text in settings:
        try:
            network = ip_network(text, strict=False)
        except ValueError:
            raise StartError(
                f"HEADRACE_TRUSTED_PROXIES holds {text!r}; it must be a comma-separated list of addresses or "
                "networks like 10.0.0.0/8."
            ) from None
        # A network of mapped addresses is one of IPv4 addresses, and these are what connections show.
        if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
            bits = network.prefixlen - _MAPPED.prefixlen
            network = IPv4Network((int(network.network_address) & 0xFFFF_FFFF, bits))
        networks.append(network)
    return tuple(networks)


def client_address(request: web.BaseRequest, proxies: TrustedProxies) -> str:
    """The client's address; empty when unknown."""
    return address_behind(request.remote or "", request.headers, proxies)


def address_behind(peer: str, headers: MultiMapping[str], proxies: TrustedProxies) -> str:
    """The last address in the trusted header that is not a proxy of ours; the peer if that is not a proxy."""
    if proxies.networks and (address := parse_address(peer)) is not None and proxies.contain(address):
        address, _ = _find_client(address, headers, proxies)
        return str(address)
    # Only IPv6 addresses have several spellings.
    return canonical(peer) if ":" in peer else peer


def counted_address(request: web.BaseRequest, proxies: TrustedProxies) -> str:
    """The address that limits count: an IPv4 address, or the whole network of an IPv6 client."""
    return counted_behind(request.remote or "", request.headers, proxies)


def counted_behind(peer: str, headers: MultiMapping[str], proxies: TrustedProxies) -> str:
    """The same for the headers of a request from this peer."""
    text = address_behind(peer, headers, proxies)
    address = parse_address(text)
    return text if address is None else _network(address)


def counted_peer(peer: str, proxies: TrustedProxies) -> str:
    """The same for a connection, on which no client is named yet; empty for a proxy of ours."""
    address = parse_address(peer)
    return "" if address is None or proxies.contain(address) else _network(address)


def _network(address: Address) -> str:
    """An IPv4 address, or the network of an IPv6 one."""
    if address.version == 4:  # noqa: PLR2004 - the protocol's version
        return str(address)
    return str(IPv6Network((int(address), _CLIENT_PREFIX_BITS), strict=False))


def client_scheme(request: web.BaseRequest, proxies: TrustedProxies) -> str:
    """The scheme of the client's request to a trusted proxy, or of the request to us."""
    peer = parse_address(request.remote or "")
    if peer is None or not proxies.contain(peer):
        return request.scheme
    _, hops = _find_client(peer, request.headers, proxies)
    if proxies.header == _FORWARDED:
        schemes: Iterator[str] = (element.get("proto", "") for element in _elements(request.headers))
    else:
        schemes = _listed(request.headers, _FORWARDED_PROTO)
    # The scheme reported by the proxy that saw the client; some chains of proxies pass on a single one.
    reported = [scheme.lower() for scheme in islice(schemes, max(hops, 1))]
    return reported[-1] if reported and reported[-1] in _SCHEMES else request.scheme


def _find_client(peer: Address, headers: MultiMapping[str], proxies: TrustedProxies) -> tuple[Address, int]:
    """The first address from the end that is not one of our proxies, and how many hops were looked at.

    An entry that is not an address ends the search at the proxy that wrote it.
    """
    looked_at = 0
    if proxies.header == _FORWARDED:
        hops: Iterator[str] = (element.get("for", "") for element in _elements(headers))
    else:
        hops = _listed(headers, proxies.header)
    # Walk back from the proxy next to us until an address is not a proxy of ours.
    for hop in islice(hops, _HOPS_AT_MOST):
        looked_at += 1
        address = _parse_node(hop)
        if address is None:
            break
        peer = address
        if not proxies.contain(peer):
            break
    return peer, looked_at


def _listed(headers: MultiMapping[str], name: str) -> Iterator[str]:
    """The entries of all lines of a header, from the end; empty ones are skipped."""
    for line in reversed(headers.getall(name, ())):
        yield from filter(None, (entry.strip(" \t") for entry in reversed(line.split(","))))


def _elements(headers: MultiMapping[str]) -> Iterator[Mapping[str, str]]:
    """The elements of `Forwarded` (RFC 7239), from the end; a malformed one is empty, and ends them."""
    for line in reversed(headers.getall(hdrs.FORWARDED, ())):
        rest = line.strip(" \t")
        while rest:
            rest, element = _last_element(rest)
            if element is not None:
                yield element


def _last_element(text: str) -> tuple[str, Mapping[str, str] | None]:
    """The text before the last element, and that element's pairs by lower-case name; None if it is empty.

    The last element is the shortest well-formed one at the end. So a quote that a client has left open does
    not swallow what a proxy has appended, and a comma within a quoted text does not split it: the text after
    that comma ends in a quote that was never opened, so it is not well formed.
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
            return {}  # the same name twice: it is not clear which value is meant
    return {name: _unquoted(value) for name, value in pairs.items()}


def _unquoted(text: str) -> str:
    if len(text) > 1 and text.startswith('"') and text.endswith('"'):
        return _ESCAPED.sub(r"\1", text[1:-1])
    return text


def _parse_node(text: str) -> Address | None:
    """Parse an address, maybe with a port (`203.0.113.9:5123`, `[2001:db8::1]:5123`), brackets or quotes."""
    text = _unquoted(text)
    port = ""
    # [IPv6], [IPv6]:port, IPv4:port; a bare IPv6 address has several colons and no port.
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

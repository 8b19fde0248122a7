"""Who sent a request: the peer, or what a proxy that we trust says of it. Nobody else is believed."""

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final

from aiohttp import web

from collector.process.lifecycle import StartError

_SCHEMES: Final = frozenset({"http", "https"})

Networks = Sequence[IPv4Network | IPv6Network]


def trusted_networks(settings: Iterable[str]) -> Networks:
    """The networks that `HEADRACE_TRUSTED_PROXIES` names. Raises StartError for one that is none."""
    networks: list[IPv4Network | IPv6Network] = []
    for text in settings:
        try:
            networks.append(ip_network(text, strict=False))
        except ValueError:
            raise StartError(
                f"HEADRACE_TRUSTED_PROXIES holds {text!r}; it must be a comma-separated list of addresses or "
                "networks like 10.0.0.0/8."
            ) from None
    return networks


def client_address(request: web.BaseRequest, trusted: Networks) -> str:
    """The client's address; empty when unknown."""
    return address_behind(request.remote or "", request.headers, trusted)


def address_behind(peer: str, headers: Mapping[str, str], trusted: Networks) -> str:
    """The last address in `X-Forwarded-For` that is no proxy of ours, or the peer where that is none."""
    if not trusted or not _is_trusted(peer, trusted):
        return peer
    for hop in reversed(headers.get("X-Forwarded-For", "").split(",")):
        address = hop.strip()
        if not _is_address(address):
            return peer
        peer = address
        if not _is_trusted(address, trusted):
            return peer
    return peer


def client_scheme(request: web.BaseRequest, trusted: Networks) -> str:
    """`https` also where a proxy that we trust took the request so; else what we see ourselves."""
    said = request.headers.get("X-Forwarded-Proto", "").rpartition(",")[2].strip().lower()
    if said in _SCHEMES and _is_trusted(request.remote or "", trusted):
        return said
    return request.scheme


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _is_trusted(text: str, trusted: Networks) -> bool:
    if not _is_address(text):
        return False
    address = ip_address(text)
    return any(address in network for network in trusted)

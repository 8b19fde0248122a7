"""Parses user agents: browser, operating system, device, and whether it is a spider (contract 3.5.7)."""

from functools import cache, lru_cache
from typing import Final, NamedTuple

from ua_parser import Domain
from ua_parser.loaders import load_builtins
from ua_parser.regex import Resolver

MAXIMUM_AGENT_LENGTH: Final = 1000
"""Text beyond this length is ignored."""
_KNOWN_AGENTS: Final = 2048
_OTHER: Final = "Other"
_SPIDER: Final = "Spider"


class Agent(NamedTuple):
    """A parsed user agent; `members` go into the `data` of `@request`."""

    members: tuple[tuple[str, str], ...]
    is_spider: bool


def parse_agent(user_agent: str) -> Agent:
    """Parse the user agent of a request."""
    return _agent(user_agent[:MAXIMUM_AGENT_LENGTH])


@lru_cache(maxsize=_KNOWN_AGENTS)
def _agent(user_agent: str) -> Agent:
    """Cached: parsing takes up to 35 us, and a few agents send most requests."""
    found = _resolver()(user_agent, Domain.ALL)
    browser, system = found.user_agent, found.os
    device = found.device.family if found.device else _OTHER
    members: dict[str, str | None] = {}
    if browser and browser.family != _OTHER:
        members["@browser"] = browser.family
        members["@browser_version"] = _version(browser.major, browser.minor, browser.patch)
        members["@browser_major_version"] = browser.major
    if device != _OTHER:
        members["@device"] = device
    if system and system.family != _OTHER:
        members["@os"] = system.family
        members["@os_version"] = _version(system.major, system.minor, system.patch)
        members["@os_major_version"] = system.major
    return Agent(tuple((name, text) for name, text in members.items() if text), device == _SPIDER)


@cache
def _resolver() -> Resolver:
    """Created on first use: it takes 0.2 s and 30 MB."""
    return Resolver(load_builtins())


def _version(major: str | None, *rest: str | None) -> str:
    return ".".join(part for part in (major, *rest) if part) if major else ""

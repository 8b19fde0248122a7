"""What is left out of an event because its name says that it is nobody's business (contract 3.5.7, 6).

A project lists names and patterns in `@@DataExclusions`; what ASP.NET puts into every request is left out of
requests always. Applied at every depth, for a password does not become harmless within an object.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final

from collector.domain.project.patterns import Patterns

OF_EVERY_REQUEST: Final[Sequence[str]] = (
    "*VIEWSTATE*",
    "*EVENTVALIDATION*",
    "*ASPX*",
    "__RequestVerificationToken",
    "ASP.NET_SessionId",
    "__LastErrorId",
    "WAWebSiteID",
    "ARRAffinity",
)
_CONTAINERS: Final = (dict, list)
_KNOWN_NAMES: Final = 4096
_USUAL_LENGTH: Final = 64


def exclude(value: Any, patterns: Patterns) -> None:
    """Remove the members whose name is excluded from an object or a list, in place and at every depth.

    Names with `@` are not the sender's: these stay.
    """
    for members in _objects_in(value):
        for name in [name for name in members if name[:1] != "@" and is_excluded(name, patterns)]:
            del members[name]


def cut(value: Any, length: int) -> None:
    """Shorten the texts in an object or a list, in place and at every depth; names stay as they are."""
    left = [value]
    while left:
        container = left.pop()
        places: Iterable[Any] = container if isinstance(container, dict) else range(len(container))
        for place in places:
            item = container[place]
            if isinstance(item, str):
                if len(item) > length:
                    container[place] = item[:length]
            elif isinstance(item, _CONTAINERS):
                left.append(item)


def is_excluded(name: str, patterns: Patterns) -> bool:
    """Whether a pattern matches the name."""
    return _is_known_excluded(name, patterns) if len(name) <= _USUAL_LENGTH else patterns.match(name)


@lru_cache(maxsize=_KNOWN_NAMES)
def _is_known_excluded(name: str, patterns: Patterns) -> bool:
    """Most names come again."""
    return patterns.match(name)


def _objects_in(value: Any) -> Iterable[dict[str, Any]]:
    """Every object, the outer ones first: what is removed from one is not looked at any more."""
    left = [value] if isinstance(value, _CONTAINERS) else []
    while left:
        container = left.pop()
        if isinstance(container, dict):
            yield container
        items = container.values() if isinstance(container, dict) else container
        left += [item for item in items if isinstance(item, _CONTAINERS)]

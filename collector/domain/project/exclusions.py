"""Removes members of an event whose names mark them as sensitive (contract 3.5.7, 6).

A project lists names and patterns in `@@DataExclusions`; the state that ASP.NET adds to every request is
always removed from requests. Exclusions apply at every depth: a password stays sensitive inside an object.
"""

from functools import lru_cache
from typing import Any, Final

from collector.domain.project.patterns import Patterns

REQUEST_EXCLUSIONS: Final = Patterns(
    [
        "*VIEWSTATE*",
        "*EVENTVALIDATION*",
        "*ASPX*",
        "__RequestVerificationToken",
        "ASP.NET_SessionId",
        "__LastErrorId",
        "WAWebSiteID",
        "ARRAffinity",
    ]
)
_CONTAINERS: Final = (dict, list)
_CACHED_NAMES: Final = 4096
_CACHED_LENGTH: Final = 64


def exclude(value: Any, patterns: Patterns) -> None:
    """Remove the members with an excluded name from an object or a list, in place and at every depth.

    Members whose name begins with `@` are the server's and stay.
    """
    pending = [value] if isinstance(value, _CONTAINERS) else []
    while pending:
        container = pending.pop()
        if isinstance(container, dict):
            for name in [name for name in container if name[:1] != "@" and is_excluded(name, patterns)]:
                del container[name]
        # What was just removed is not searched.
        items = container.values() if isinstance(container, dict) else container
        pending += [item for item in items if isinstance(item, _CONTAINERS)]


def truncate_texts(value: Any, length: int) -> None:
    """Shorten the texts in an object or a list, in place and at every depth; names are left alone."""
    # Not recursive: an event may nest hundreds of levels.
    pending = [value]
    while pending:
        container = pending.pop()
        keys: Any = container if isinstance(container, dict) else range(len(container))
        for key in keys:
            item = container[key]
            if isinstance(item, str):
                if len(item) > length:
                    container[key] = item[:length]
            elif isinstance(item, _CONTAINERS):
                pending.append(item)


def is_excluded(name: str, patterns: Patterns) -> bool:
    """Whether a pattern matches the name."""
    return _is_excluded(name, patterns) if len(name) <= _CACHED_LENGTH else patterns.match(name)


# The same names occur in most events of a project.
@lru_cache(maxsize=_CACHED_NAMES)
def _is_excluded(name: str, patterns: Patterns) -> bool:
    return patterns.match(name)

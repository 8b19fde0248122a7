"""Other spellings of our paths, as the official server accepts them: extra slashes, and capitals.

A client that is answered 404 drops its events. Only the fixed parts of a route ignore case: ids, references
and other parameters keep theirs.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from aiohttp import web
from aiohttp.http_parser import RawRequestMessage

if TYPE_CHECKING:
    import re

_PREFIX: Final = "/api/"
"""Only paths below it have other spellings. Pages for browsers use relative addresses: a slash matters."""


class PathSpelling:
    """The paths of an application's routes, found in any spelling."""

    def __init__(self, resources: Iterable[web.AbstractResource]) -> None:
        self._fixed: set[str] = set()
        self._patterns: dict[int, list[tuple[list[str], re.Pattern[str]]]] = {}
        for resource in resources:
            parts = resource.canonical.split("/")
            if pattern := resource.get_info().get("pattern"):
                self._patterns.setdefault(len(parts), []).append((parts, pattern))
            else:
                self._fixed.add(resource.canonical)

    def apply(self, message: RawRequestMessage) -> RawRequestMessage:
        """The message with its path in the spelling of a route."""
        path = message.url.raw_path
        usual = self.usual(path)
        if usual is path:
            return message
        return message._replace(url=message.url.with_path(usual, encoded=True, keep_query=True))

    def usual(self, path: str) -> str:
        """The path in the spelling of a route; the same object if it is, or if no route matches."""
        # Nearly every request is in the usual spelling already.
        if path[: len(_PREFIX)].lower() != _PREFIX or (path.islower() and not path.endswith("/")):
            return path
        path_without_slash = path.removesuffix("/")
        low = path_without_slash.lower()
        if low in self._fixed:
            return low
        # A route with parameters: lower the fixed parts only.
        written = path_without_slash.split("/")
        for parts, pattern in self._patterns.get(len(written), ()):
            spelled = [
                own if part.startswith("{") else own.lower() for part, own in zip(parts, written, strict=True)
            ]
            if pattern.fullmatch(candidate := "/".join(spelled)):
                return candidate
        return path


def collapse_slashes(message: RawRequestMessage) -> RawRequestMessage:
    """The message with every run of slashes in its path as one."""
    if "//" not in message.path or "//" not in (path := message.url.raw_path):
        return message
    while "//" in path:
        path = path.replace("//", "/")
    return message._replace(url=message.url.with_path(path, encoded=True, keep_query=True))

"""Other spellings of our paths: a slash at the end, and capitals, as the official server takes them.

A client that is answered 404 drops its events. Only the parts that a route fixes are in any case: ids,
references and the like stay as they were written.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from aiohttp import web
from aiohttp.http_parser import RawRequestMessage

if TYPE_CHECKING:
    import re

_SPELLED: Final = "/api/"
"""Where such paths begin. The pages for a browser have addresses of their own below themselves."""


class PathSpelling:
    """Knows the paths of an application."""

    def __init__(self, resources: Iterable[web.AbstractResource]) -> None:
        self._fixed: set[str] = set()
        self._patterns: dict[int, list[tuple[list[str], re.Pattern[str]]]] = {}
        for resource in resources:
            parts = resource.canonical.split("/")
            if pattern := resource.get_info().get("pattern"):
                self._patterns.setdefault(len(parts), []).append((parts, pattern))
            else:
                self._fixed.add(resource.canonical)

    def usual(self, path: str) -> str:
        """The path as a route has it; the same where none has it in another spelling."""
        if path[: len(_SPELLED)].lower() != _SPELLED or (path.islower() and not path.endswith("/")):
            return path
        low = path.removesuffix("/").lower()
        return low if low in self._fixed else self._matched(path.removesuffix("/")) or path

    def _matched(self, path: str) -> str | None:
        """With parameters: their places hold what was written there, in its own case."""
        written = path.split("/")
        for parts, pattern in self._patterns.get(len(written), ()):
            spelled = [
                own if part.startswith("{") else own.lower() for part, own in zip(parts, written, strict=True)
            ]
            if pattern.fullmatch(candidate := "/".join(spelled)):
                return candidate
        return None


def spelled_as_usual(message: RawRequestMessage, spelling: PathSpelling) -> RawRequestMessage:
    """The message with its path as the router has it."""
    path = message.url.raw_path
    usual = spelling.usual(path)
    if usual is path:
        return message
    return message._replace(url=message.url.with_path(usual, encoded=True, keep_query=True))

"""What a filter probably means where it would find nothing in silence, said in a header of the answer."""

from collections.abc import Collection
from typing import Final

from aiohttp import web

from collector.domain.filter.hints import filter_hints
from collector.domain.filter.tree import Filter

FILTER_WARNING_HEADER: Final = "X-Headrace-Filter-Warning"

_WARNINGS: Final = web.RequestKey("filter_warnings", str)


def note_warnings(request: web.Request, tree: Filter, fields: Collection[str] | None = None) -> None:
    """Keep what is to be said of a request's filter: of events and stacks, or of things with these fields."""
    if hints := filter_hints(tree, fields):
        # Headers are sent in ASCII; a name may be in any script, and hold escaped control characters.
        request[_WARNINGS] = " ".join(hints).encode("unicode_escape").decode("ascii")


def with_warnings(request: web.Request, response: web.Response) -> web.Response:
    """The response with the header, where there is something to say."""
    if warnings := request.get(_WARNINGS):
        response.headers[FILTER_WARNING_HEADER] = warnings
    return response

"""A response header that warns of filters which are valid but probably do not mean what was intended."""

from collections.abc import Collection
from typing import Final

from aiohttp import web

from collector.domain.filter.hints import filter_hints
from collector.domain.filter.tree import Filter

FILTER_WARNING_HEADER: Final = "X-Headrace-Filter-Warning"

_WARNINGS: Final = web.RequestKey("filter_warnings", str)


def note_warnings(request: web.Request, tree: Filter, fields: Collection[str] | None = None) -> None:
    """Store the warnings about a request's filter, of events and stacks or of things with these fields."""
    if hints := filter_hints(tree, fields):
        # Headers are ASCII; field names may be in any script and contain control characters.
        request[_WARNINGS] = " ".join(hints).encode("unicode_escape").decode("ascii")


def with_warnings(request: web.Request, response: web.Response) -> web.Response:
    """The response, with the header if there are warnings."""
    if warnings := request.get(_WARNINGS):
        response.headers[FILTER_WARNING_HEADER] = warnings
    return response

"""Which of the reader's organizations or projects a list is about: those that its filter leaves."""

from collections.abc import Collection
from typing import Final

from aiohttp import web

from collector.api.core.service import API
from collector.api.request.filter_warnings import note_warnings
from collector.database.search.owner_filters import Narrowing
from collector.domain.dates.datemath import LocalClock
from collector.domain.filter.parser import parse_filter
from collector.http.operation import Parameter

FILTER: Final = Parameter(
    "filter",
    "Which ones, in the language of `docs/filtering.md`: by `name`, `id`, `created_utc` and so on.",
    example="name:a*",
)


def narrowing_of(
    request: web.Request, parameters: dict[str, str], fields: Collection[str]
) -> Narrowing | None:
    """What the filter says, if there is one; it can be about these `fields`. Raises BadRequest."""
    text = parameters.get("filter")
    if text is None:
        return None
    tree = parse_filter(text)
    note_warnings(request, tree, fields)
    return Narrowing(tree, LocalClock(request.app[API].clock.now()))

"""The `filter` parameter of the lists of organizations and projects."""

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
    "Selects by `name`, `id`, `created_utc` and so on, in the language of `docs/filtering.md`.",
    example="name:a*",
)


def parse_narrowing(
    request: web.Request, parameters: dict[str, str], fields: Collection[str]
) -> Narrowing | None:
    """The request's filter, which may use these `fields`; None without one. Raises BadRequest."""
    text = parameters.get("filter")
    if text is None:
        return None
    tree = parse_filter(text)
    note_warnings(request, tree, fields)
    return Narrowing(tree, LocalClock(request.app[API].clock.now()))

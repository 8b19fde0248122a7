"""Which of the reader's organizations or projects a list is about: those that its filter leaves."""

from typing import Final

from aiohttp import web

from collector.api.service import API
from collector.database.owner_filters import Narrowing
from collector.domain.filter_text import filter_of
from collector.domain.moments import LocalClock
from collector.http.operation import Parameter

FILTER: Final = Parameter(
    "filter",
    "Which ones, in the language of `docs/filtering.md`: by `name`, `id`, `created_utc` and so on.",
    example="name:a*",
)


def narrowing_of(request: web.Request, parameters: dict[str, str]) -> Narrowing | None:
    """What the filter says, if there is one. Raises BadRequest."""
    text = parameters.get("filter")
    return None if text is None else Narrowing(filter_of(text), LocalClock(request.app[API].clock.now()))

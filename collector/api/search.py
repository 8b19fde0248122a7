"""Whether a filter can be understood, for whoever is still writing it (contract 5)."""

from typing import Any, Final

import msgspec
from aiohttp import web

from collector.api.parameters import parameters_of
from collector.api.route import Role, Route
from collector.api.service import API
from collector.database.filter_sql import Arguments, EventConditions
from collector.domain.errors import BadRequest
from collector.domain.filter_text import filter_of
from collector.domain.moments import LocalClock
from collector.http.operation import Answer, Parameter, documented
from collector.http.responses import json_response

_QUERY: Final = Parameter("query", "The filter.", example="type:error", is_required=True)


class ValidationView(msgspec.Struct, frozen=True, kw_only=True):
    """Whether it can be, and otherwise what is wrong with it, and where. Nothing is premium here."""

    is_valid: bool
    uses_premium_features: bool = False
    message: str | msgspec.UnsetType = msgspec.UNSET


@documented("Event", {200: Answer(ValidationView)}, parameters=(_QUERY,))
async def get_validation(request: web.Request) -> web.Response:
    """Whether a filter can be understood."""
    query = parameters_of(request).get("query")
    if query is None:
        raise BadRequest("The parameter `query` holds the filter; it is missing.")
    return json_response(_judged(query, LocalClock(request.app[API].clock.now())))


def _judged(query: str, clock: LocalClock) -> ValidationView:
    """What is wrong may be in its text, or in what a value means for its field."""
    arguments = Arguments()
    projects: list[Any] = []
    try:
        EventConditions(arguments, arguments.add(projects), clock).of(filter_of(query))
    except BadRequest as refusal:
        return ValidationView(is_valid=False, message=refusal.title)
    return ValidationView(is_valid=True)


ROUTES: Final = (Route("GET", "/search/validate", get_validation, Role.USER),)

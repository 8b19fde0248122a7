"""`GET search/validate`: checks a filter before it is used (contract 5)."""

import asyncio
from typing import Any, Final

import msgspec
from aiohttp import web

from collector.api.auth.authentication import IDENTITY
from collector.api.auth.searching import turn_key
from collector.api.core.route import Role, Route
from collector.api.core.service import API
from collector.api.request.parameters import query_parameters
from collector.database.search.filter_sql import Arguments, EventConditions
from collector.domain.dates.datemath import LocalClock
from collector.domain.errors import BadRequest
from collector.domain.filter.hints import filter_hints, find_unknown_fields
from collector.domain.filter.parser import parse_filter
from collector.http.operation import Answer, Parameter, documented
from collector.http.responses import json_response

_QUERY: Final = Parameter("query", "The filter.", example="type:error", is_required=True)


class UnknownFieldView(msgspec.Struct, frozen=True, kw_only=True):
    """A name that is not a field, and the most similar field."""

    name: str
    nearest: str | None = None


class ValidationView(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the filter is valid, otherwise what is wrong with it and where. There are no premium features.

    A valid filter can still find nothing, for example because of an unknown field: see `unknown_fields` and
    `warnings`.
    """

    is_valid: bool
    uses_premium_features: bool = False
    message: str | msgspec.UnsetType = msgspec.UNSET
    unknown_fields: list[UnknownFieldView] | msgspec.UnsetType = msgspec.UNSET
    warnings: list[str] | msgspec.UnsetType = msgspec.UNSET


@documented("Event", {200: Answer(ValidationView)}, parameters=(_QUERY,))
async def get_validation(request: web.Request) -> web.Response:
    """Validate a filter, and name its unknown fields, which find nothing."""
    query = query_parameters(request).get("query")
    if query is None:
        raise BadRequest("The parameter `query` is required: it holds the filter.")
    api, clock = request.app[API], LocalClock(request.app[API].clock.now())
    # A large filter takes many milliseconds: one is checked at a time, and organizations take turns.
    async with api.filter_checks.slot(turn_key(request[IDENTITY])):
        return json_response(await asyncio.to_thread(_validation, query, clock))


def _validation(query: str, clock: LocalClock) -> ValidationView:
    # The syntax may be wrong, which parsing finds, or a value for its field, which making the SQL finds.
    arguments, projects = Arguments(), list[Any]()
    try:
        tree = parse_filter(query)
        EventConditions(arguments, arguments.add(projects), clock).of(tree)
    except BadRequest as refusal:
        return ValidationView(is_valid=False, message=refusal.title)
    unknown = [
        UnknownFieldView(name=field.name, nearest=field.nearest) for field in find_unknown_fields(tree)
    ]
    return ValidationView(
        is_valid=True,
        unknown_fields=unknown or msgspec.UNSET,
        warnings=list(filter_hints(tree)) or msgspec.UNSET,
    )


ROUTES: Final = (Route("GET", "/search/validate", get_validation, Role.USER),)

"""Counts and aggregations of events: `events/count` (contract 4)."""

import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, Literal

import msgspec
from aiohttp import web

from collector.api.auth.searching import searching
from collector.api.core.route import Role, Route
from collector.api.events.event_selection import FILTER, TIME, parse_selection, select_projects
from collector.api.request.filter_warnings import FILTER_WARNING_HEADER, with_warnings
from collector.api.request.lists import ESTIMATED_HEADER, EXACT_SECONDS
from collector.api.request.parameters import flag, query_parameters
from collector.database.search.event_counts import Bucket, count_in_buckets
from collector.domain.errors import BadRequest, OrganizationSuspended
from collector.domain.filter.aggregation import Aggregation, Operator, parse_aggregations
from collector.domain.filter.fields import Column, Kind
from collector.http.operation import Answer, Parameter, documented
from collector.http.responses import json_response

_AGGREGATIONS: Final = Parameter(
    "aggregations",
    "avg, sum, min, max, cardinality, terms or date of a field; buckets can be nested.",
    example="date:(date~1d cardinality:stack) terms:type",
)
_MODE: Final = Parameter(
    "mode", "`stack_new`: only events of stacks that first occurred in the time range.", Literal["stack_new"]
)
_EXACT: Final = Parameter(
    "exact", "`true`: numbers are never estimated, but may take too long.", Literal["true", "false"]
)


class CountView(msgspec.Struct, frozen=True, kw_only=True):
    """The number of events, and the results by name of the aggregation, such as `cardinality_stack`.

    If `is_estimated`, they come from a sample of the events: what is rare may be missing.
    """

    total: int
    aggregations: dict[str, Any]
    is_estimated: bool | msgspec.UnsetType = msgspec.UNSET


@documented(
    "Event",
    {200: Answer(CountView, headers=(FILTER_WARNING_HEADER, ESTIMATED_HEADER))},
    parameters=(FILTER, _AGGREGATIONS, *TIME, _MODE, _EXACT),
    refusals=(OrganizationSuspended,),
)
async def get_count(request: web.Request) -> web.Response:
    """Count the events that a filter selects, with aggregations for charts and figures."""
    parameters = query_parameters(request)
    aggregations = parse_aggregations(parameters.get("aggregations", ""))
    selection, mode = parse_selection(request, parameters), parameters.get("mode", "").strip().lower()
    if mode not in {"", "stack_new"}:
        raise BadRequest("The parameter `mode` can only be `stack_new` here.")
    if mode:
        selection = selection.of_new_stacks
    seconds = None if flag(parameters, "exact") else EXACT_SECONDS
    async with searching(request) as connection:
        selection = await select_projects(request, connection, selection)
        counted = await count_in_buckets(connection, selection, aggregations, seconds=seconds)
    view = CountView(
        total=counted.total,
        aggregations=_results(counted, aggregations),
        is_estimated=counted.is_estimated or msgspec.UNSET,
    )
    headers = {ESTIMATED_HEADER: "true"} if counted.is_estimated else {}
    return with_warnings(request, json_response(view, headers=headers))


def _results(bucket: Bucket, aggregations: Iterable[Aggregation]) -> dict[str, Any]:
    """The result of each aggregation by its key, in the format of the official server."""
    results: dict[str, Any] = {}
    for part in aggregations:
        value = bucket.values.get(part.key)
        # Buckets, each with its nested aggregations; a date, if there is any event; or a number.
        if part.has_buckets:
            items = [_item(inner, part) for inner in bucket.buckets.get(part.key, [])]
            results[part.key] = {"items": items, "total": len(items), "data": {"@type": "bucket"}}
        elif part.is_date_value and value:
            results[part.key] = {"value": value, "data": {"@type": "dvalue"}}
        else:
            results[part.key] = {"value": _number(value), "data": {"@type": "value"}}
    return results


def _item(bucket: Bucket, part: Aggregation) -> dict[str, Any]:
    aggregations = _results(bucket, part.parts)
    if part.operator is Operator.DATE:
        moment: datetime = bucket.key
        return {
            "key": int(moment.timestamp() * 1000),
            "key_as_string": moment.astimezone(UTC).isoformat().replace("+00:00", "Z"),
            "date": moment,
            "total": bucket.total,
            "aggregations": aggregations,
        }
    key = str(bucket.key)
    # Ids have 32 characters everywhere in the API; Postgres writes them with hyphens.
    if part.field.kind is Kind.ID and isinstance(part.field.sources[0], Column) and key != part.missing:
        key = key.replace("-", "")
    return {"key": key, "key_as_string": key, "total": bucket.total, "aggregations": aggregations}


def _number(value: Any) -> int | float | None:
    """The value as a JSON number; a sum that exceeds the range of a double is clamped to it."""
    if not isinstance(value, Decimal):
        return value if isinstance(value, int) else None
    if not value.is_finite():
        return None
    if value == value.to_integral_value() and abs(value) < 2**53:
        return int(value)
    return min(max(float(value), -sys.float_info.max), sys.float_info.max)


ROUTES: Final = (
    Route("GET", "/events/count", get_count, Role.USER),
    Route("GET", "/organizations/{organizationId:objectid}/events/count", get_count, Role.USER),
    Route("GET", "/projects/{projectId:objectid}/events/count", get_count, Role.USER),
)

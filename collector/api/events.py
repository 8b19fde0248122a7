"""Events, read back: one by its id, a list by the reference id that the client gave (contract 4)."""

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson
from aiohttp import web

from collector.api.authentication import IDENTITY, Identity
from collector.api.lists import LIST_HEADERS, list_response
from collector.api.parameters import TOTAL, includes_total, page_of, paging, parameters_of
from collector.api.projects import reachable_project
from collector.api.route import Role, Route
from collector.api.service import API
from collector.database.events import (
    EventKey,
    StoredEvent,
    count_by_reference,
    event_at,
    find_by_reference,
    find_event,
)
from collector.database.pool import connected
from collector.database.projects import readable_projects
from collector.domain.errors import NotFound, OrganizationSuspended
from collector.domain.filter import reference_of
from collector.domain.identifiers import uuid_of
from collector.http.event_form import StoredEventForm
from collector.http.operation import Answer, Parameter, documented
from collector.http.responses import json_response

ANSWER_BYTES: Final = 16 << 20
"""A list ends early where it would weigh more; `Link` leads on."""

_MAXIMUM_LIMIT: Final = 100
_UNSUPPORTED: Final = ("sort", "time", "offset", "mode", "before", "after")
_UNSUPPORTED_BY_ID: Final = ("expected_stack_id", "time", "offset")
_NO_EVENT: Final = "There is no such event."


_LISTED: Final = {200: Answer(list[StoredEventForm], headers=LIST_HEADERS)}
_PAGING: Final = (*paging(_MAXIMUM_LIMIT), TOTAL)
_FILTER: Final = Parameter("filter", "Which events.", example="reference:hello-0001", is_required=True)


@documented("Event", {200: Answer(StoredEventForm)})
async def get_event(request: web.Request) -> web.Response:
    """One event by its id, from any project that the identity may read."""
    api, identity = request.app[API], request[IDENTITY]
    parameters_of(request, unsupported=_UNSUPPORTED_BY_ID)
    event_id = uuid_of(request.match_info["id"])
    if event_id is None:
        raise NotFound(_NO_EVENT)
    async with connected(api.pool) as connection:
        everywhere = None if identity.is_global else identity.organization_ids
        event = await find_event(connection, await readable_projects(connection, everywhere), event_id)
    if event is None:
        raise NotFound(_NO_EVENT)
    return json_response(event_view(event))


@documented("Event", _LISTED, parameters=_PAGING)
async def get_by_reference(request: web.Request) -> web.Response:
    """The events with a reference id; an array, and an empty one where there is none."""
    identity = request[IDENTITY]
    parameters = parameters_of(request, unsupported=_UNSUPPORTED)
    return await _list(request, identity, parameters, request.match_info["referenceId"])


@documented("Event", _LISTED, parameters=(_FILTER, *_PAGING))
async def get_events(request: web.Request) -> web.Response:
    """The events that a filter selects."""
    identity = request[IDENTITY]
    parameters = parameters_of(request, unsupported=_UNSUPPORTED)
    return await _list(request, identity, parameters, reference_of(parameters.get("filter", "")))


def event_view(event: StoredEvent) -> dict[str, Any]:
    """An event as it was stored. `date` has its sender's offset; what is null is left out."""
    members = {
        "id": event.id.hex,
        "organization_id": event.organization_id.hex,
        "project_id": event.project_id.hex,
        "stack_id": None if event.stack_id is None else event.stack_id.hex,
        "is_first_occurrence": event.is_first_occurrence,
        "created_utc": event.created_utc,
        "type": event.type,
        "source": event.source,
        "date": _with_offset(event.date, event.date_offset_minutes),
        "tags": event.tags,
        "message": event.message,
        "geo": event.geo,
        "value": _number(event.value),
        "count": event.count,
        "data": None if event.data is None else orjson.Fragment(event.data),
        "reference_id": event.reference_id,
    }
    return {name: value for name, value in members.items() if value is not None}


async def _list(
    request: web.Request, identity: Identity, parameters: dict[str, str], reference_id: str
) -> web.Response:
    api, page = request.app[API], page_of(parameters, maximum=_MAXIMUM_LIMIT)
    async with connected(api.pool) as connection:
        projects = await _projects(connection, identity, request.match_info.get("projectId"))
        found: list[EventKey] = []
        if not page.is_too_deep:
            one_more = page.offset + page.limit + 1
            found = await find_by_reference(
                connection, projects, reference_id, now=api.clock.now(), limit=one_more
            )
        shown, looked_at = await _affordable(connection, found[page.offset : page.offset + page.limit])
        total = None
        if includes_total(parameters):
            total = await count_by_reference(connection, projects, reference_id)
    following = page.after(looked_at) if len(found) > page.offset + looked_at else None
    return list_response(request, shown, page, following, total)


async def _affordable(
    connection: asyncpg.Connection, keys: Sequence[EventKey]
) -> tuple[list[orjson.Fragment], int]:
    """The first events of a list as JSON, as many as an answer may weigh, but one at least.

    Answers also how many keys that took; one at a time, because a small row may hold a large event.
    """
    shown: list[orjson.Fragment] = []
    looked_at = weight = 0
    for key in keys:
        event = await event_at(connection, key)
        packed = b"" if event is None else orjson.dumps(event_view(event), option=orjson.OPT_UTC_Z)
        weight += len(packed)
        if shown and weight > ANSWER_BYTES:
            break
        looked_at += 1
        if packed:
            shown.append(orjson.Fragment(packed))
    return shown, looked_at


async def _projects(
    connection: asyncpg.Connection, identity: Identity, route_project: str | None
) -> Sequence[UUID]:
    """The project in the path, or all of the identity's organizations; suspended ones show nothing."""
    if route_project is None:
        return await readable_projects(connection, identity.organization_ids)
    project = await reachable_project(connection, identity, route_project)
    if project.is_suspended:
        raise OrganizationSuspended
    return [project.id]


def _with_offset(moment: datetime, minutes: int) -> str:
    try:
        return moment.astimezone(timezone(timedelta(minutes=minutes))).isoformat()
    except (OverflowError, ValueError):  # at the edges of the calendar, or with no such offset
        return moment.isoformat()


def _number(value: Decimal | None) -> orjson.Fragment | None:
    """All the digits that were stored. `numeric` also knows NaN and infinity, JSON does not."""
    return orjson.Fragment(f"{value:f}") if value is not None and value.is_finite() else None


ROUTES: Final = (
    Route("GET", "/events", get_events, Role.USER),
    Route("GET", "/projects/{projectId:objectid}/events", get_events, Role.USER),
    Route("GET", "/events/by-ref/{referenceId:identifier}", get_by_reference, Role.USER),
    Route(
        "GET",
        "/projects/{projectId:objectid}/events/by-ref/{referenceId:identifier}",
        get_by_reference,
        Role.USER,
    ),
    Route("GET", "/events/{id:objectid}", get_event, Role.USER),
)

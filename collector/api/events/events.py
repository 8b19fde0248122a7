"""Reading a single event with links to its neighbours, and deleting events (contract 4)."""

from datetime import timedelta, timezone
from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson
from aiohttp import hdrs, web

from collector.api.auth.authentication import IDENTITY, Identity
from collector.api.auth.searching import looking_up
from collector.api.core.absolute_urls import absolute_url
from collector.api.core.deletion import DELETED, BulkResult, asked_ids, bulk_response
from collector.api.core.route import Role, Route
from collector.api.core.service import API
from collector.api.events.event_selection import TIME, reader_clock
from collector.api.request.parameters import query_parameters
from collector.database.owners.projects import readable_projects
from collector.database.pool import connected
from collector.database.search.event_lists import Selection, find_events
from collector.database.search.event_removal import remove_events
from collector.database.search.events import StoredEvent, find_event
from collector.domain.dates.time_range import parse_time_range
from collector.domain.errors import BadRequest, NotFound
from collector.domain.filter.sorting import NEWEST_FIRST, Cursor
from collector.domain.filter.tree import Match, Term
from collector.domain.ids import parse_uuid
from collector.http.event_form import StoredEventForm
from collector.http.operation import Answer, Parameter, documented
from collector.http.responses import json_response

_NO_EVENT: Final = "There is no such event."
_STACK: Final = Parameter("expected_stack_id", "Answers 400 if the event belongs to another stack.")


@documented("Event", {200: Answer(StoredEventForm, headers=(str(hdrs.LINK),))}, parameters=(_STACK, *TIME))
async def get_event(request: web.Request) -> web.Response:
    """Get one event by its id.

    `Link` leads to the previous and next event of its stack and, as `parent`, to the stack.
    """
    parameters = query_parameters(request)
    async with looking_up(request) as connection:
        projects = await _readable_projects(connection, request[IDENTITY])
        event_id = parse_uuid(request.match_info["id"])
        event = None if event_id is None else await find_event(connection, projects, event_id)
        if event is None:
            raise NotFound(_NO_EVENT)
        expected = parameters.get("expected_stack_id")
        if expected is not None and (
            event.stack_id is None or event.stack_id != parse_uuid(expected.strip())
        ):
            raise BadRequest("The event belongs to another stack than `expected_stack_id`.")
        neighbours = await _neighbours(request, connection, event, parameters)
    response = json_response(event_view(event))
    for relation, path in neighbours.items():
        response.headers.add(hdrs.LINK, f'<{absolute_url(request, path)}>; rel="{relation}"')
    return response


@documented("Event", DELETED)
async def delete_events(request: web.Request) -> web.Response:
    """Delete events permanently. Their stack keeps its total, because they did occur."""
    api, result = request.app[API], BulkResult()
    async with connected(api.pool) as connection:
        projects = await _readable_projects(connection, request[IDENTITY])
        ids = {text: parse_uuid(text) for text in asked_ids(request)}
        known = [id_ for id_ in ids.values() if id_ is not None]
        removed = await remove_events(connection, projects, known)
    for text, id_ in ids.items():
        if id_ in removed:
            result.success.append(text)
        else:
            result.add_not_found(text, _NO_EVENT)
    return bulk_response(result)


def event_view(event: StoredEvent) -> dict[str, Any]:
    """The stored event as answers show it. `date` has its sender's offset; null members are left out."""
    # A Fragment keeps all the digits that were stored. `numeric` also knows NaN and infinity, JSON does not.
    value = event.value
    number = orjson.Fragment(f"{value:f}") if value is not None and value.is_finite() else None
    members = {
        "id": event.id.hex,
        "organization_id": event.organization_id.hex,
        "project_id": event.project_id.hex,
        "stack_id": None if event.stack_id is None else event.stack_id.hex,
        "is_first_occurrence": event.is_first_occurrence,
        "created_utc": event.created_utc,
        "type": event.type,
        "source": event.source,
        "date": date_view(event),
        "tags": event.tags,
        "message": event.message,
        "geo": event.geo,
        "value": number,
        "count": event.count,
        "data": None if event.data is None else orjson.Fragment(event.data),
        "reference_id": event.reference_id,
    }
    return {name: value for name, value in members.items() if value is not None}


def date_view(event: StoredEvent) -> str:
    """The event's date with its sender's UTC offset."""
    try:
        zone = timezone(timedelta(minutes=event.date_offset_minutes))
        return event.date.astimezone(zone).isoformat()
    except (OverflowError, ValueError):  # at the edges of the calendar, or with an invalid offset
        return event.date.isoformat()


async def _readable_projects(connection: asyncpg.Connection, identity: Identity) -> list[UUID]:
    organization_ids = None if identity.is_global else identity.organization_ids
    return await readable_projects(connection, organization_ids)


async def _neighbours(
    request: web.Request, connection: asyncpg.Connection, event: StoredEvent, parameters: dict[str, str]
) -> dict[str, str]:
    """The paths of the previous and next event in the stack, and of the stack itself, by relation."""
    if event.stack_id is None:
        return {}
    clock = reader_clock(request, parameters)
    time = parse_time_range(parameters.get("time", ""), clock)
    stack = Match("stack", Term((event.stack_id.hex,), is_quoted=True))
    selection = Selection([event.project_id], stack, time, clock)
    place = Cursor((event.date,), event.id)
    paths = {}
    # The first event on either side of this one.
    for relation, order in (("previous", NEWEST_FIRST), ("next", NEWEST_FIRST.reversed)):
        for found in await find_events(connection, selection, order, limit=1, after=place):
            paths[relation] = f"/api/v2/events/{found.id.hex}"
    return paths | {"parent": f"/api/v2/stacks/{event.stack_id.hex}"}


ROUTES: Final = (
    Route("GET", "/events/{id:objectid}", get_event, Role.USER),
    Route("DELETE", "/events/{ids:objectids}", delete_events, Role.USER),
)

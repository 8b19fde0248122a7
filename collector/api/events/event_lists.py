"""Lists of events: of everything, of an organization, project, stack or session, by reference (contract 4).

A list goes on by pages where `page` is given, else from the place where it was left: that stays right while
events pour in.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple
from uuid import UUID

import asyncpg
import orjson
from aiohttp import web

from collector.api.auth.searching import looking_up, searching
from collector.api.core.route import Role, Route
from collector.api.events.event_selection import (
    FILTER,
    TIME,
    parse_selection,
    select_projects,
    stack_condition,
)
from collector.api.events.events import event_view
from collector.api.events.listed_event import ListedEvent
from collector.api.events.stack_lists import STACK_MODES, stacks_of_events
from collector.api.events.summaries import summary_of
from collector.api.request.lists import FILTERED_LIST_HEADERS, add_link, list_response
from collector.api.request.parameters import (
    TOTAL,
    Page,
    includes_total,
    paging,
    query_parameters,
    requested_page,
)
from collector.database.owners.projects import project_names
from collector.database.search.event_lists import (
    EventPage,
    Selection,
    count_events,
    find_events,
    goes_by_index,
)
from collector.database.search.events import EventKey, StoredEvent, events_at
from collector.domain.errors import BadRequest, OrganizationSuspended
from collector.domain.filter.sorting import Order, parse_cursor, parse_order
from collector.domain.filter.tree import Filter, Match, Or, Term
from collector.http.operation import Answer, Parameter, documented
from collector.http.responses import escaped

ANSWER_BYTES: Final = 4 << 20
"""A list ends early where it would weigh more; `Link` leads on."""

_MAXIMUM_LIMIT: Final = 100
_AT_ONCE: Final = 10
"""Events that are read at once: a small row may hold a large event."""

_LISTED: Final = {200: Answer(list[ListedEvent], headers=FILTERED_LIST_HEADERS)}
_PLACES: Final = (
    Parameter("before", "Shows the page before this cursor; taken from a `Link` header."),
    Parameter("after", "Shows the page after this cursor; taken from a `Link` header."),
)
_MODE: Final = Parameter(
    "mode",
    "`summary` shows events in short; `stack_...` shows their stacks instead.",
    Literal[("summary", *STACK_MODES)],
)
_PARAMETERS: Final = (
    FILTER,
    *TIME,
    Parameter("sort", "`-date` by default; also created, value, count, type, source, reference."),
    _MODE,
    *paging(_MAXIMUM_LIMIT),
    *_PLACES,
    TOTAL,
)


@documented("Event", _LISTED, parameters=_PARAMETERS, refusals=(OrganizationSuspended,))
async def get_events(request: web.Request) -> web.Response:
    """List the events that a filter selects, newest first."""
    return await _list(request)


@documented("Event", _LISTED, parameters=_PARAMETERS, refusals=(OrganizationSuspended,))
async def get_events_of_stack(request: web.Request) -> web.Response:
    """List the events of a stack."""
    return await _list(request, stack_condition(request))


@documented("Event", _LISTED, parameters=_PARAMETERS, refusals=(OrganizationSuspended,))
async def get_by_reference(request: web.Request) -> web.Response:
    """List the events with a reference id; an empty array if there are none."""
    return await _list(request, _is("reference", request.match_info["referenceId"]))


@documented("Event", _LISTED, parameters=_PARAMETERS, refusals=(OrganizationSuspended,))
async def get_sessions(request: web.Request) -> web.Response:
    """List sessions, each shown by its start event."""
    return await _list(request, _is("type", "session"))


@documented("Event", _LISTED, parameters=_PARAMETERS, refusals=(OrganizationSuspended,))
async def get_events_of_session(request: web.Request) -> web.Response:
    """List the events of a session, including its start event."""
    session = request.match_info["sessionId"]
    return await _list(request, Or((_is("reference", session), _is("ref.session", session))))


class _Way(NamedTuple):
    """Which part of a list is asked for: a page, or what lies before or after a place."""

    order: Order
    page: Page
    before: str | None
    after: str | None
    is_by_page: bool


class _Part(NamedTuple):
    """A part of a list as it is shown, and whether there is more behind it."""

    found: Sequence[EventPage]
    shown: Sequence[orjson.Fragment]
    has_more: bool


async def _list(request: web.Request, *conditions: Filter) -> web.Response:
    parameters = query_parameters(request)
    mode = parameters.get("mode", "").strip().lower()
    asked = parse_selection(request, parameters)
    asked = asked.narrowed(*conditions) if conditions else asked
    if mode in STACK_MODES:
        async with searching(request) as connection:
            selection = await select_projects(request, connection, asked)
            return await stacks_of_events(request, connection, selection, parameters)
    if mode not in {"", "summary"}:
        raise BadRequest(f"The parameter `mode` must be one of summary, {', '.join(STACK_MODES)}.")
    way, with_total = _way(parameters), includes_total(parameters)
    is_looked_up = goes_by_index(asked, way.order) and not with_total
    async with looking_up(request) if is_looked_up else searching(request) as connection:
        selection = await select_projects(request, connection, asked)
        part = await _part(connection, selection, way, is_summary=mode == "summary")
        total = await count_events(connection, selection) if with_total else None
    return _response(request, part, way, total)


def _way(parameters: dict[str, str]) -> _Way:
    page, order = requested_page(parameters, maximum=_MAXIMUM_LIMIT), parse_order(parameters.get("sort", ""))
    before, after = parameters.get("before"), parameters.get("after")
    return _Way(order, page, before, after, is_by_page="page" in parameters and not (before or after))


async def _part(
    connection: asyncpg.Connection, selection: Selection, way: _Way, *, is_summary: bool
) -> _Part:
    """The part that is asked for, as far as it weighs no more than an answer may."""
    found, has_more = await _keys(connection, selection, way)
    names = await project_names(connection, {key.project_id for key in found}) if is_summary else None
    shown: list[orjson.Fragment] = []
    looked_at = weight = 0
    for begin in range(0, len(found), _AT_ONCE):
        keys = found[begin : begin + _AT_ONCE]
        packed = await _packed(connection, keys, names)
        for text in packed:
            weight += len(text)
            if shown and weight > ANSWER_BYTES:
                return _Part(found[:looked_at], shown, has_more=True)
            looked_at += 1
            if text:
                shown.append(orjson.Fragment(text))
    return _Part(found, shown, has_more)


async def _keys(
    connection: asyncpg.Connection, selection: Selection, way: _Way
) -> tuple[Sequence[EventPage], bool]:
    """Where the events of the part are, and whether there are more behind them."""
    limit = way.page.limit
    if way.before is not None:
        place = parse_cursor(way.before, way.order, "before")
        backwards = await find_events(connection, selection, way.order.reversed, limit=limit, after=place)
        return backwards[::-1], True
    if way.after is not None:
        place = parse_cursor(way.after, way.order, "after")
        found = await find_events(connection, selection, way.order, limit=limit + 1, after=place)
        return found[:limit], len(found) > limit
    if way.page.is_too_deep:
        return [], False
    found = await find_events(connection, selection, way.order, limit=way.page.offset + limit + 1)
    found = found[way.page.offset :]
    return found[:limit], len(found) > limit


async def _packed(
    connection: asyncpg.Connection, keys: Sequence[EventPage], names: Mapping[UUID, str] | None
) -> list[bytes]:
    """The events as JSON, in short where names of projects are given; nothing for one kept no longer."""
    stored = await events_at(connection, [EventKey(key.project_id, key.id) for key in keys])
    events = {event.id: event for event in stored}

    def pack(event: StoredEvent | None) -> bytes:
        if event is None:
            return b""
        view = event_view(event) if names is None else summary_of(event, names.get(event.project_id, ""))
        return escaped(orjson.dumps(view, option=orjson.OPT_UTC_Z))  # weighed as it is sent

    return [pack(events.get(key.id)) for key in keys]


def _response(request: web.Request, part: _Part, way: _Way, total: int | None) -> web.Response:
    if way.is_by_page:
        following = way.page.after(len(part.found)) if part.has_more else None
        return list_response(request, part.shown, way.page, following, total)
    response = list_response(request, part.shown, Page(1, way.page.limit), None, total)
    if part.found:
        add_link(request, response, "previous", before=part.found[0].place.token)
        if part.has_more:
            add_link(request, response, "next", after=part.found[-1].place.token)
    return response


def _is(field: str, text: str) -> Filter:
    return Match(field, Term((text,), is_quoted=True))


ROUTES: Final = (
    Route("GET", "/events", get_events, Role.USER),
    Route("GET", "/organizations/{organizationId:objectid}/events", get_events, Role.USER),
    Route("GET", "/projects/{projectId:objectid}/events", get_events, Role.USER),
    Route("GET", "/stacks/{stackId:objectid}/events", get_events_of_stack, Role.USER),
    Route("GET", "/events/by-ref/{referenceId:identifier}", get_by_reference, Role.USER),
    Route(
        "GET",
        "/projects/{projectId:objectid}/events/by-ref/{referenceId:identifier}",
        get_by_reference,
        Role.USER,
    ),
    Route("GET", "/events/sessions", get_sessions, Role.USER),
    Route("GET", "/organizations/{organizationId:objectid}/events/sessions", get_sessions, Role.USER),
    Route("GET", "/projects/{projectId:objectid}/events/sessions", get_sessions, Role.USER),
    Route("GET", "/events/sessions/{sessionId:identifier}", get_events_of_session, Role.USER),
    Route(
        "GET",
        "/projects/{projectId:objectid}/events/sessions/{sessionId:identifier}",
        get_events_of_session,
        Role.USER,
    ),
)

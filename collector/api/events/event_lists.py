"""Lists of events: all, or of an organization, project, stack, session or reference id (contract 4).

A request with `page` gets that page. Otherwise `Link` headers contain cursors, which neither skip nor repeat
events while new ones arrive.
"""

from collections.abc import Sequence
from datetime import UTC
from functools import partial
from typing import Final, Literal, NamedTuple

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
from collector.api.events.export import CSV, FORMAT, NDJSON, export_events, export_type
from collector.api.events.listed_event import ListedEvent
from collector.api.events.stack_lists import STACK_MODES, stacks_of_events
from collector.api.events.summaries import summary_of
from collector.api.request.lists import (
    ESTIMATED_HEADER,
    EXACT_SECONDS,
    FILTERED_LIST_HEADERS,
    add_link,
    list_response,
)
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
    FoundEvent,
    FoundPage,
    Selection,
    estimate_events,
    find_page,
    goes_by_index,
)
from collector.database.search.events import EVENTS_PER_READ, EventKey, find_events_by_key
from collector.domain.errors import BadRequest, OrganizationSuspended
from collector.domain.filter.sorting import Order, parse_cursor, parse_order
from collector.domain.filter.tree import Filter, Match, Or, Term
from collector.http.operation import Answer, Parameter, documented
from collector.http.responses import escaped

ANSWER_BYTES: Final = 4 << 20
"""A page ends early if the answer would be larger; `Link` leads to the rest."""

PARTIAL_HEADER: Final = "X-Headrace-Partial"
"""The dates that time did not suffice to search, as `begin/end`; `..` is unbounded."""

_MAXIMUM_LIMIT: Final = 100
_SEARCH_SECONDS: Final = 7.0
"""Then the answer is what was found; less than a client, or `searching`, waits."""

_LISTED: Final = {
    200: Answer(
        list[ListedEvent],
        headers=(*FILTERED_LIST_HEADERS, PARTIAL_HEADER, ESTIMATED_HEADER),
        more_types=(CSV, NDJSON),
    )
}
_CURSORS: Final = (
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
    *_CURSORS,
    TOTAL,
    FORMAT,
)


@documented("Event", _LISTED, parameters=_PARAMETERS, refusals=(OrganizationSuspended,))
async def get_events(request: web.Request) -> web.StreamResponse:
    """List the events that a filter selects, newest first."""
    return await _list(request)


@documented("Event", _LISTED, parameters=_PARAMETERS, refusals=(OrganizationSuspended,))
async def get_events_of_stack(request: web.Request) -> web.StreamResponse:
    """List the events of a stack."""
    return await _list(request, stack_condition(request))


@documented("Event", _LISTED, parameters=_PARAMETERS, refusals=(OrganizationSuspended,))
async def get_by_reference(request: web.Request) -> web.StreamResponse:
    """List the events with a reference id; an empty array if there are none."""
    return await _list(request, _equals("reference", request.match_info["referenceId"]))


@documented("Event", _LISTED, parameters=_PARAMETERS, refusals=(OrganizationSuspended,))
async def get_sessions(request: web.Request) -> web.StreamResponse:
    """List sessions, each shown by its start event."""
    return await _list(request, _equals("type", "session"))


@documented("Event", _LISTED, parameters=_PARAMETERS, refusals=(OrganizationSuspended,))
async def get_events_of_session(request: web.Request) -> web.StreamResponse:
    """List the events of a session, including its start event."""
    session = request.match_info["sessionId"]
    return await _list(request, Or((_equals("reference", session), _equals("ref.session", session))))


class _Position(NamedTuple):
    """The requested part of a list: a page by number, or the entries before or after a cursor."""

    order: Order
    page: Page
    before: str | None
    after: str | None
    is_by_page: bool


class _Part(NamedTuple):
    """The part of a list that the answer shows, and whether more follows it."""

    found: Sequence[FoundEvent]
    shown: Sequence[orjson.Fragment]
    has_more: bool


async def _list(request: web.Request, *conditions: Filter) -> web.StreamResponse:
    # Parse: what is wrong with the parameters is said before a connection is taken.
    parameters = query_parameters(request)
    mode = parameters.get("mode", "").strip().lower()
    selection = parse_selection(request, parameters)
    if conditions:
        selection = selection.narrowed(*conditions)
    # The stack modes answer with stacks instead of events.
    if mode in STACK_MODES:
        async with searching(request) as connection:
            selection = await select_projects(request, connection, selection)
            return await stacks_of_events(request, connection, selection, parameters)
    if mode not in {"", "summary"}:
        raise BadRequest(f"The parameter `mode` must be one of summary, {', '.join(STACK_MODES)}.")
    if (media_type := export_type(request, parameters)) is not None:
        order = parse_order(parameters.get("sort", ""))
        return await export_events(request, selection, order, media_type)
    page, order = requested_page(parameters, maximum=_MAXIMUM_LIMIT), parse_order(parameters.get("sort", ""))
    before, after = parameters.get("before"), parameters.get("after")
    # A cursor takes precedence over a page number.
    is_by_page = "page" in parameters and not (before or after)
    position, with_total = _Position(order, page, before, after, is_by_page), includes_total(parameters)

    # Select the projects, then query: in a search slot, unless an index leads to the page.
    is_indexed = goes_by_index(selection, position.order)
    async with looking_up(request) if is_indexed and not with_total else searching(request) as connection:
        selection = await select_projects(request, connection, selection)
        seconds = None if is_indexed else _SEARCH_SECONDS
        found, has_more = await _find(connection, selection, position, seconds)
        part = await _load(connection, found.events, has_more=has_more, is_summary=mode == "summary")
        total, is_estimated = None, False
        if with_total:
            total, is_estimated = await estimate_events(connection, selection, EXACT_SECONDS)

    # Render.
    response = _render(request, part, position, total)
    if is_estimated:
        response.headers[ESTIMATED_HEADER] = "true"
    if found.rest is not None:
        _mark_partial(request, response, found, part, position)
    return response


async def _find(
    connection: asyncpg.Connection, selection: Selection, position: _Position, seconds: float | None
) -> tuple[FoundPage, bool]:
    """The keys of the events in the requested part, and whether more follow it."""
    limit, order = position.page.limit, position.order
    find = partial(find_page, connection, selection, seconds=seconds)
    # Before a cursor: read backwards from it. The entry at the cursor itself follows.
    if position.before is not None:
        cursor = parse_cursor(position.before, order, "before")
        page = await find(order.reversed, limit=limit, after=cursor)
        return page._replace(events=page.events[::-1]), True
    # After a cursor, or a page by number: read one more than is shown, to see whether more follow.
    offset = 0
    if position.after is not None:
        cursor = parse_cursor(position.after, order, "after")
        page = await find(order, limit=limit + 1, after=cursor)
    elif position.page.is_too_deep:
        page = FoundPage([])
    else:
        offset = position.page.offset
        page = await find(order, limit=offset + limit + 1)
    events = page.events[offset:]
    return page._replace(events=events[:limit]), len(events) > limit


async def _load(
    connection: asyncpg.Connection, found: Sequence[FoundEvent], *, has_more: bool, is_summary: bool
) -> _Part:
    """Load and serialize the events, a few at a time, until the answer is as large as it may be."""
    names = await project_names(connection, {key.project_id for key in found}) if is_summary else {}
    shown: list[orjson.Fragment] = []
    size = 0
    for start in range(0, len(found), EVENTS_PER_READ):
        keys = found[start : start + EVENTS_PER_READ]
        stored = await find_events_by_key(connection, [EventKey(key.project_id, key.id) for key in keys])
        events = {event.id: event for event in stored}
        for index, key in enumerate(keys, start):
            event = events.get(key.id)
            if event is None:  # removed since it was found
                continue
            view = summary_of(event, names.get(event.project_id, "")) if is_summary else event_view(event)
            text = escaped(orjson.dumps(view, option=orjson.OPT_UTC_Z))  # measured as it is sent
            size += len(text)
            # A single event is always shown, whatever its size.
            if shown and size > ANSWER_BYTES:
                return _Part(found[:index], shown, has_more=True)
            shown.append(orjson.Fragment(text))
    return _Part(found, shown, has_more)


def _render(request: web.Request, part: _Part, position: _Position, total: int | None) -> web.Response:
    # By page number: neighbours are pages.
    if position.is_by_page:
        following = position.page.after(len(part.found)) if part.has_more else None
        return list_response(request, part.shown, position.page, following, total)
    # Otherwise neighbours start at the cursors of the first and last entry, which stays right while new
    # events arrive.
    response = list_response(request, part.shown, Page(1, position.page.limit), None, total)
    if part.found:
        add_link(request, response, "previous", before=part.found[0].cursor.token)
        if part.has_more:
            add_link(request, response, "next", after=part.found[-1].cursor.token)
    return response


def _mark_partial(
    request: web.Request, response: web.Response, page: FoundPage, part: _Part, position: _Position
) -> None:
    """Say which dates were not searched, and link to the list from there on if it is one by date."""
    begin, end = (
        ".." if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
        for moment in (page.rest.begin, page.rest.end)  # type: ignore[union-attr] # it is partial
    )
    response.headers[PARTIAL_HEADER] = f"{begin}/{end}"
    if page.cursor is None:
        return
    if position.before is None and not part.has_more:
        add_link(request, response, "next", after=page.cursor.token)
    elif position.before is not None and not part.found:
        add_link(request, response, "previous", before=page.cursor.token)


def _equals(field: str, text: str) -> Filter:
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

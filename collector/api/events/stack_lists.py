"""Lists of stacks: those that a filter selects, and those of selected events (contract 4 and 9)."""

from datetime import datetime
from typing import Any, Final

import asyncpg
import msgspec
from aiohttp import web

from collector.api.auth.searching import searching
from collector.api.core.route import Role, Route
from collector.api.events.event_selection import FILTER, TIME, parse_selection, select_projects
from collector.api.events.stacks import StackView, stack_view
from collector.api.events.summaries import stack_members, stack_template
from collector.api.request.lists import (
    ESTIMATED_HEADER,
    EXACT_SECONDS,
    FILTERED_LIST_HEADERS,
    list_response,
)
from collector.api.request.parameters import (
    TOTAL,
    includes_total,
    paging,
    query_parameters,
    requested_page,
)
from collector.database.owners.projects import project_names
from collector.database.search.event_lists import Selection, exact_or_sampled
from collector.database.search.stack_lists import (
    StackMode,
    StackOfEvents,
    StackOrder,
    count_stacks,
    count_stacks_of_events,
    count_users,
    find_stacks_of_events,
    list_stacks,
)
from collector.domain.errors import BadRequest, OrganizationSuspended
from collector.http.operation import Answer, Parameter, documented

STACK_MODES: Final = {
    "stack_recent": StackMode.RECENT,
    "stack_frequent": StackMode.FREQUENT,
    "stack_new": StackMode.NEW,
    "stack_users": StackMode.USERS,
}

_MAXIMUM_LIMIT: Final = 100
_ORDERS: Final = {
    "": StackOrder.LAST_DESCENDING,
    "-last_occurrence": StackOrder.LAST_DESCENDING,
    "last_occurrence": StackOrder.LAST,
    "-first_occurrence": StackOrder.FIRST_DESCENDING,
    "first_occurrence": StackOrder.FIRST,
    "-total_occurrences": StackOrder.TOTAL_DESCENDING,
    "total_occurrences": StackOrder.TOTAL,
}
_ALIASES: Final = {"last": "last_occurrence", "first": "first_occurrence", "occurrences": "total_occurrences"}
_PARAMETERS: Final = (
    FILTER,
    *TIME,
    Parameter("sort", "`-last_occurrence` by default; also first_occurrence, total_occurrences."),
    *paging(_MAXIMUM_LIMIT),
    TOTAL,
)


class StackSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A stack in short, with figures about the selected events."""

    id: str
    template_key: str
    data: dict[str, Any]
    project_id: str
    project_name: str
    tags: list[str]
    title: str
    status: str
    first_occurrence: datetime
    last_occurrence: datetime
    total: int
    users: int
    total_users: int


@documented(
    "Stack",
    {200: Answer(list[StackView], headers=FILTERED_LIST_HEADERS)},
    parameters=_PARAMETERS,
    refusals=(OrganizationSuspended,),
)
async def get_stacks(request: web.Request) -> web.Response:
    """List the stacks that a filter selects, the latest occurrence first."""
    parameters = query_parameters(request, unsupported=("before", "after"))
    page = requested_page(parameters, maximum=_MAXIMUM_LIMIT)
    written = parameters.get("sort", "").strip().lower()
    sign, name = written[:1] * written.startswith("-"), written.lstrip("-")
    order = _ORDERS.get(sign + _ALIASES.get(name, name))
    if order is None:
        raise BadRequest(f"The parameter `sort` must be one of {', '.join(filter(None, _ORDERS))}.")
    selection = parse_selection(request, parameters)
    async with searching(request) as connection:
        selection = await select_projects(request, connection, selection)
        stacks = []
        if not page.is_too_deep:
            stacks = await list_stacks(connection, selection, order, limit=page.limit + 1, offset=page.offset)
        total = await count_stacks(connection, selection) if includes_total(parameters) else None
    following = page.after(page.limit) if len(stacks) > page.limit else None
    views = [stack_view(stack) for stack in stacks[: page.limit]]
    return list_response(request, views, page, following, total)


async def stacks_of_events(
    request: web.Request, connection: asyncpg.Connection, selection: Selection, parameters: dict[str, str]
) -> web.Response:
    """The answer to `mode=stack_...`: the stacks of the selected events, in the mode's own order."""
    if "sort" in parameters:
        raise BadRequest("The parameter `sort` cannot be combined with this `mode`, which defines the order.")
    page = requested_page(parameters, maximum=_MAXIMUM_LIMIT)
    mode = STACK_MODES[parameters["mode"].strip().lower()]

    async def find(selection: Selection) -> tuple[list[StackOfEvents], int | None, int]:
        """The stacks of a page and one more, how many there are if that is asked, and how many users."""
        found, total = list[StackOfEvents](), None
        if not page.is_too_deep:
            limit = page.limit + 1
            found = await find_stacks_of_events(connection, selection, mode, limit=limit, offset=page.offset)
        if includes_total(parameters):
            total = await count_stacks_of_events(connection, selection, mode)
        return found, total, await count_users(connection, selection) if found else 0

    (found, total, users), is_estimated = await exact_or_sampled(connection, selection, EXACT_SECONDS, find)
    names = await project_names(connection, {each.stack.project_id for each in found})
    views = [_summary(each, names.get(each.stack.project_id, ""), users) for each in found[: page.limit]]
    following = page.after(page.limit) if len(found) > page.limit else None
    response = list_response(request, views, page, following, total)
    if is_estimated:
        response.headers[ESTIMATED_HEADER] = "true"
    return response


def _summary(each: StackOfEvents, project_name: str, total_users: int) -> StackSummary:
    stack = each.stack
    return StackSummary(
        id=stack.id.hex,
        template_key=stack_template(stack),
        data=stack_members(stack),
        project_id=stack.project_id.hex,
        project_name=project_name,
        tags=list(stack.tags),
        title=stack.title,
        status=stack.status,
        first_occurrence=each.first,
        last_occurrence=each.last,
        total=each.total,
        users=each.users,
        total_users=total_users,
    )


ROUTES: Final = (
    Route("GET", "/stacks", get_stacks, Role.USER),
    Route("GET", "/organizations/{organizationId:objectid}/stacks", get_stacks, Role.USER),
    Route("GET", "/projects/{projectId:objectid}/stacks", get_stacks, Role.USER),
)

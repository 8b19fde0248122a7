"""Changing the status of all stacks whose events a filter selects: counted first, then changed or undone."""

from collections import defaultdict
from dataclasses import replace
from datetime import datetime
from typing import Final, Literal

import msgspec
from aiohttp import web

from collector.api.auth.searching import searching
from collector.api.core.route import Role, Route
from collector.api.core.service import API
from collector.api.events.event_selection import FILTER, TIME, parse_selection, select_projects
from collector.api.events.stack_marks import UNTIL, VERSION, parse_snooze, parse_version
from collector.api.request.parameters import flag, query_parameters
from collector.database.search.stack_selection import STACKS_AT_MOST, find_matching_stacks
from collector.database.search.stacks import change_status
from collector.domain.errors import BadRequest, Invalid, OrganizationSuspended
from collector.domain.event.stack import StackStatus
from collector.http.operation import Answer, Parameter, documented
from collector.http.responses import json_response

_SETTABLE: Final = (
    StackStatus.OPEN,
    StackStatus.FIXED,
    StackStatus.SNOOZED,
    StackStatus.IGNORED,
    StackStatus.DISCARDED,
)
_PARAMETERS: Final = (
    FILTER,
    *TIME,
    Parameter(
        "status",
        "The new status.",
        Literal["open", "fixed", "snoozed", "ignored", "discarded"],
        example="ignored",
        is_required=True,
    ),
    VERSION,
    replace(UNTIL, is_required=False),
    Parameter("count_only", "`true` only counts what would be changed.", bool),
)


class MatchingView(msgspec.Struct, frozen=True, kw_only=True):
    """How many stacks match, how many of the selected events they have, and how to undo the change.

    `undo` has the ids of the changed stacks by the status that they had; empty with `count_only`.
    """

    stacks: int
    events: int
    undo: dict[str, list[str]] = {}


@documented(
    "Stack",
    {200: Answer(MatchingView)},
    parameters=_PARAMETERS,
    refusals=(Invalid, OrganizationSuspended),
)
async def post_status_of_all(request: web.Request) -> web.Response:
    """Set the status of all stacks whose events the filter selects.

    Ask with `count_only=true` first. A change of more than 10,000 stacks is refused as a whole.
    """
    parameters, now = query_parameters(request), request.app[API].clock.now()
    status, version, until = _change(parameters, now)
    selection, counts_only = parse_selection(request, parameters), flag(parameters, "count_only")
    async with searching(request) as connection:
        selection = await select_projects(request, connection, selection)
        found = await find_matching_stacks(connection, selection)
        if len(found.ids) > STACKS_AT_MOST:
            raise BadRequest(f"More than {STACKS_AT_MOST:,} stacks match; please narrow the filter.")
        if counts_only:
            return json_response(MatchingView(stacks=len(found.ids), events=found.events))
        changed = await change_status(
            connection, found.ids, status, now, fixed_in_version=version, snooze_until_utc=until
        )
    undo: defaultdict[str, list[str]] = defaultdict(list)
    for stack_id, former in sorted(changed.items()):
        # A new version or end of the snooze changes a stack without changing its status.
        if former is not status:
            undo[former.value].append(stack_id.hex)
    return json_response(MatchingView(stacks=len(found.ids), events=found.events, undo=dict(undo)))


def _change(parameters: dict[str, str], now: datetime) -> tuple[StackStatus, str | None, datetime | None]:
    text = parameters.get("status", "").strip().lower()
    if text not in _SETTABLE:
        raise Invalid(fields={"status": [f"The status field must be one of {', '.join(_SETTABLE)}."]})
    status = StackStatus(text)
    version = parse_version(parameters) if status is StackStatus.FIXED else None
    until = parse_snooze(parameters, now) if status is StackStatus.SNOOZED else None
    return status, version, until


ROUTES: Final = (
    Route("POST", "/stacks/change-status", post_status_of_all, Role.USER),
    Route(
        "POST", "/organizations/{organizationId:objectid}/stacks/change-status", post_status_of_all, Role.USER
    ),
    Route("POST", "/projects/{projectId:objectid}/stacks/change-status", post_status_of_all, Role.USER),
)

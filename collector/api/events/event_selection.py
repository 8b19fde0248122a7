"""The selection of events that a request asks for, by its path, filter and time range."""

from dataclasses import replace
from typing import Final

import asyncpg
from aiohttp import web

from collector.api.auth.authentication import IDENTITY
from collector.api.core.service import API
from collector.api.manage.organizations import reachable_organization
from collector.api.manage.projects import reachable_project
from collector.api.request.filter_warnings import note_warnings
from collector.database.owners.projects import readable_projects
from collector.database.search.event_lists import Selection
from collector.database.search.stacks import find_stacks
from collector.domain.dates.datemath import LocalClock
from collector.domain.dates.time_range import parse_offset, parse_time_range
from collector.domain.errors import NotFound, OrganizationSuspended
from collector.domain.filter.parser import parse_filter
from collector.domain.filter.tree import Filter, Match, Term
from collector.domain.ids import parse_uuid
from collector.http.operation import Parameter

FILTER: Final = Parameter(
    "filter", "Selects events, in the language of `docs/filtering.md`.", example="type:error tag:checkout"
)
TIME: Final = (
    Parameter(
        "time", "The time range: `last 24 hours`, `today`, `2026-01-01-2026-02-01`, `[now-1d TO now]`."
    ),
    Parameter("offset", "The reader's UTC offset, for dates that have none: `-300m`, `+2h`."),
)


def parse_selection(request: web.Request, parameters: dict[str, str]) -> Selection:
    """The selection that the parameters describe, without projects yet. Raises BadRequest."""
    clock = reader_clock(request, parameters)
    tree = parse_filter(parameters.get("filter", ""))
    note_warnings(request, tree)
    return Selection(
        project_ids=(),
        filter=tree,
        time=parse_time_range(parameters.get("time", ""), clock),
        clock=clock,
    )


async def select_projects(
    request: web.Request, connection: asyncpg.Connection, selection: Selection
) -> Selection:
    """Limit the selection to the projects that the path names, or to all of the reader's.

    Raises NotFound, and OrganizationSuspended if the path names something in a suspended organization. Lists
    of everything leave suspended organizations out.
    """
    identity, named = request[IDENTITY], request.match_info
    project_id = named.get("projectId")
    # A stack stands for its project; the stack itself is a condition of the filter.
    if "stackId" in named:
        stack_id = parse_uuid(named["stackId"])
        stacks = [] if stack_id is None else await find_stacks(connection, [stack_id])
        if not stacks or not identity.reaches(stacks[0].organization_id):
            raise NotFound("There is no such stack.")
        project_id = stacks[0].project_id.hex

    if project_id is not None:
        project = await reachable_project(connection, identity, project_id)
        if project.is_suspended:
            raise OrganizationSuspended
        return replace(selection, project_ids=[project.id])

    if "organizationId" in named:
        organization = await reachable_organization(connection, identity, named["organizationId"])
        if organization.is_suspended:
            raise OrganizationSuspended
        return replace(selection, project_ids=await readable_projects(connection, [organization.id]))

    return replace(selection, project_ids=await readable_projects(connection, identity.organization_ids))


def reader_clock(request: web.Request, parameters: dict[str, str]) -> LocalClock:
    """The current time with the reader's UTC offset."""
    offset = parse_offset(parameters.get("offset", "0m"))
    return LocalClock(request.app[API].clock.now(), offset)


def stack_condition(request: web.Request) -> Filter:
    """The condition that the stack in the path adds to the filter."""
    return Match("stack", Term((request.match_info["stackId"],), is_quoted=True))

"""Which events a request is about: those that its path, its filter and its time leave of the reader's."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final
from uuid import UUID

import asyncpg
from aiohttp import web

from collector.api.auth.authentication import IDENTITY, Identity
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
    """What the parameters name, of no project yet. Raises BadRequest."""
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
    """Of the projects that the path names. Raises NotFound and OrganizationSuspended."""
    return replace(selection, project_ids=await _projects(request, connection))


def reader_clock(request: web.Request, parameters: dict[str, str]) -> LocalClock:
    """What time it is for the reader."""
    offset = parse_offset(parameters.get("offset", "0m"))
    return LocalClock(request.app[API].clock.now(), offset)


def stack_condition(request: web.Request) -> Filter:
    """The condition that a path with a stack stands for."""
    return Match("stack", Term((request.match_info["stackId"],), is_quoted=True))


async def _projects(request: web.Request, connection: asyncpg.Connection) -> Sequence[UUID]:
    """Those that the path names, or all of the reader's organizations; suspended ones show nothing."""
    identity, named = request[IDENTITY], request.match_info
    if "projectId" in named:
        return await _one_project(connection, identity, named["projectId"])
    if "organizationId" in named:
        organization = await reachable_organization(connection, identity, named["organizationId"])
        if organization.is_suspended:
            raise OrganizationSuspended
        return await readable_projects(connection, [organization.id])
    if "stackId" in named:
        return await _projects_of_stack(connection, identity, named["stackId"])
    return await readable_projects(connection, identity.organization_ids)


async def _one_project(connection: asyncpg.Connection, identity: Identity, project_id: str) -> Sequence[UUID]:
    project = await reachable_project(connection, identity, project_id)
    if project.is_suspended:
        raise OrganizationSuspended
    return [project.id]


async def _projects_of_stack(
    connection: asyncpg.Connection, identity: Identity, stack_id: str
) -> Sequence[UUID]:
    found = parse_uuid(stack_id)
    stacks = [] if found is None else await find_stacks(connection, [found])
    if not stacks or not identity.reaches(stacks[0].organization_id):
        raise NotFound("There is no such stack.")
    return await _one_project(connection, identity, stacks[0].project_id.hex)

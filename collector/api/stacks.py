"""Stacks: one by its id, and what people say of them (contract 9)."""

from collections.abc import Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Final, Literal

import asyncpg
import msgspec
from aiohttp import web

from collector.api.authentication import IDENTITY, Identity
from collector.api.parameters import parameters_of
from collector.api.route import Role, Route
from collector.api.service import API
from collector.database.pool import connected
from collector.database.projects import readable_projects
from collector.database.stacks import StoredStack, change_status, find_stacks
from collector.domain.errors import Invalid, NotFound
from collector.domain.identifiers import uuid_of
from collector.domain.stack import StackStatus
from collector.http.operation import Answer, Parameter, documented
from collector.http.responses import json_response

_SETTABLE: Final = (StackStatus.OPEN, StackStatus.FIXED, StackStatus.IGNORED, StackStatus.DISCARDED)
"""`regressed` is found by the worker, and a snooze needs its end."""
_QUIET: Final = (StackStatus.FIXED, StackStatus.SNOOZED, StackStatus.IGNORED, StackStatus.DISCARDED)
_NO_STACK: Final = "One or more stacks could not be found."


class StackView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A stack as the clients of the official server know it; what is null is left out."""

    id: str
    organization_id: str
    project_id: str
    type: str
    status: StackStatus
    snooze_until_utc: datetime | None = None
    signature_hash: str
    signature_info: dict[str, str]
    fixed_in_version: str | None = None
    date_fixed: datetime | None = None
    title: str
    total_occurrences: int
    first_occurrence: datetime
    last_occurrence: datetime
    description: str | None = None
    occurrences_are_critical: bool
    references: list[str]
    tags: list[str]
    duplicate_signature: str
    created_utc: datetime
    updated_utc: datetime
    is_deleted: bool
    allow_notifications: bool


@documented("Stack", {200: Answer(StackView)})
async def get_stack(request: web.Request) -> web.Response:
    """One stack, of any project that the identity may read."""
    api, identity = request.app[API], request[IDENTITY]
    parameters_of(request, unsupported=("offset",))
    async with connected(api.pool) as connection:
        (stack,) = await reachable_stacks(connection, identity, [request.match_info["id"]])
    return json_response(stack_view(stack))


@documented(
    "Stack",
    {200: Answer()},
    parameters=(
        Parameter(
            "status",
            "What they are from now on.",
            Literal["open", "fixed", "ignored", "discarded"],
            is_required=True,
        ),
    ),
    refusals=(Invalid,),
)
async def post_status(request: web.Request) -> web.Response:
    """Set the status of all stacks that are named, or of none; a worker's next transaction heeds it."""
    api, identity = request.app[API], request[IDENTITY]
    status = _status_in(parameters_of(request))
    async with connected(api.pool) as connection:
        stacks = await reachable_stacks(connection, identity, request.match_info["ids"].split(","))
        await change_status(connection, [stack.id for stack in stacks], status, api.clock.now())
    return web.Response(status=HTTPStatus.OK)


def stack_view(stack: StoredStack) -> StackView:
    """The stack as answers show it."""
    return StackView(
        id=stack.id.hex,
        organization_id=stack.organization_id.hex,
        project_id=stack.project_id.hex,
        type=stack.type,
        status=stack.status,
        snooze_until_utc=stack.snooze_until_utc,
        signature_hash=stack.signature_hash,
        signature_info=stack.signature_info,
        fixed_in_version=stack.fixed_in_version,
        date_fixed=stack.date_fixed,
        title=stack.title,
        total_occurrences=stack.total_occurrences,
        first_occurrence=stack.first_occurrence,
        last_occurrence=stack.last_occurrence,
        description=stack.description,
        occurrences_are_critical=stack.occurrences_are_critical,
        references=list(stack.references),
        tags=list(stack.tags),
        duplicate_signature=f"{stack.project_id.hex}:{stack.signature_hash}",
        created_utc=stack.created_utc,
        updated_utc=stack.updated_utc,
        is_deleted=False,
        allow_notifications=stack.status not in _QUIET,
    )


async def reachable_stacks(
    connection: asyncpg.Connection, identity: Identity, asked: Sequence[str]
) -> list[StoredStack]:
    """All stacks that a path names; NotFound also when one is another organization's.

    Likewise for one of a suspended organization, which shows nothing, and of a project that is deleted.
    """
    ids = {uuid_of(text) for text in asked}
    stacks = await find_stacks(connection, [id_ for id_ in ids if id_ is not None])
    if len(stacks) < len(ids) or not all(identity.reaches(stack.organization_id) for stack in stacks):
        raise NotFound(_NO_STACK)
    readable = await readable_projects(connection, {stack.organization_id for stack in stacks})
    if not {stack.project_id for stack in stacks}.issubset(readable):
        raise NotFound(_NO_STACK)
    return stacks


def _status_in(parameters: dict[str, str]) -> StackStatus:
    text = parameters.get("status", "").strip().lower()
    if text in _SETTABLE:
        return StackStatus(text)
    raise Invalid(fields={"status": [f"The status field must be one of {', '.join(_SETTABLE)}."]})


ROUTES: Final = (
    Route("GET", "/stacks/{id:objectid}", get_stack, Role.USER),
    Route("POST", "/stacks/{ids:objectids}/change-status", post_status, Role.USER),
)

"""Reading a stack and setting the status of stacks (contract 9)."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Final, Literal
from uuid import UUID

import asyncpg
import msgspec
from aiohttp import web

from collector.api.auth.authentication import IDENTITY, Identity
from collector.api.core.deletion import CHANGED_IN_PART, DELETED, BulkResult, asked_ids, bulk_response
from collector.api.core.route import Role, Route
from collector.api.core.service import API
from collector.api.request.parameters import query_parameters
from collector.database.owners.projects import readable_projects
from collector.database.owners.removals import ask_for_removal
from collector.database.pool import connected
from collector.database.search.stacks import StoredStack, change_status, find_stacks
from collector.domain.errors import Invalid, NotFound
from collector.domain.event.stack import StackStatus
from collector.domain.ids import parse_uuid
from collector.http.operation import Answer, Parameter, documented
from collector.http.responses import json_response

_SETTABLE: Final = (StackStatus.OPEN, StackStatus.FIXED, StackStatus.IGNORED, StackStatus.DISCARDED)
"""`regressed` is set by the worker, and `snoozed` needs the end of the snooze."""
_QUIET: Final = (StackStatus.FIXED, StackStatus.SNOOZED, StackStatus.IGNORED, StackStatus.DISCARDED)
NO_STACK: Final = "There is no such stack."


class StackView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A stack in the format of the official server; null members are left out."""

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
    """Get one stack by its id."""
    query_parameters(request, unsupported=("offset",))
    async with connected(request.app[API].pool) as connection:
        stack = await stack_in_path(request, connection)
    return json_response(stack_view(stack))


@documented(
    "Stack",
    {200: Answer(), **CHANGED_IN_PART},
    parameters=(
        Parameter(
            "status",
            "The new status.",
            Literal["open", "fixed", "ignored", "discarded"],
            is_required=True,
        ),
    ),
    refusals=(Invalid,),
)
async def post_status(request: web.Request) -> web.Response:
    """Set the status of stacks; it applies from the worker's next transaction on."""
    text, now = query_parameters(request).get("status", "").strip().lower(), request.app[API].clock.now()
    if text not in _SETTABLE:
        raise Invalid(fields={"status": [f"The status field must be one of {', '.join(_SETTABLE)}."]})
    return await change_stacks(
        request, lambda connection, ids: change_status(connection, ids, StackStatus(text), now)
    )


@documented("Stack", DELETED)
async def delete_stacks(request: web.Request) -> web.Response:
    """Delete stacks with their present events, which a worker removes. Later events make them again."""
    api, result = request.app[API], BulkResult()
    async with connected(api.pool) as connection, connection.transaction():
        asked = asked_ids(request)
        stacks = {stack.id: stack for stack in await reachable_stacks(connection, request[IDENTITY], asked)}
        targets = [(stack.project_id, stack.id) for stack in stacks.values()]
        await ask_for_removal(connection, targets, api.clock.now())
    for text in asked:
        if parse_uuid(text) in stacks:
            result.success.append(text)
        else:
            result.add_not_found(text, NO_STACK)
    return bulk_response(result)


async def stack_in_path(request: web.Request, connection: asyncpg.Connection) -> StoredStack:
    """The stack in the path. Raises NotFound if it does not exist for the identity."""
    stacks = await reachable_stacks(connection, request[IDENTITY], [request.match_info["id"]])
    if not stacks:
        raise NotFound(NO_STACK)
    return stacks[0]


async def change_stacks(
    request: web.Request,
    change: Callable[[asyncpg.Connection, Sequence[UUID]], Awaitable[object]],
    status: HTTPStatus = HTTPStatus.OK,
) -> web.Response:
    """Change the stacks in the path that exist for the identity; answers `status` if all of them do."""
    result = BulkResult()
    async with connected(request.app[API].pool) as connection:
        asked = asked_ids(request)
        stacks = await reachable_stacks(connection, request[IDENTITY], asked)
        ids = [stack.id for stack in stacks]
        await change(connection, ids)
    # Ids that do not exist are named in the answer; the others are changed.
    for text in asked:
        if parse_uuid(text) in ids:
            result.success.append(text)
        else:
            result.add_not_found(text, NO_STACK)
    return bulk_response(result, web.Response(status=status))


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
    """The stacks with these ids that exist for the identity, which excludes other organizations' stacks.

    Stacks of suspended organizations and of deleted projects do not exist, either.
    """
    ids = {parse_uuid(text) for text in asked}
    found = await find_stacks(connection, [id_ for id_ in ids if id_ is not None])
    stacks = [stack for stack in found if identity.reaches(stack.organization_id)]
    # The purge may not have reached the stacks of a deleted project yet.
    readable = set(await readable_projects(connection, {stack.organization_id for stack in stacks}))
    return [stack for stack in stacks if stack.project_id in readable]


ROUTES: Final = (
    Route("GET", "/stacks/{id:objectid}", get_stack, Role.USER),
    Route("DELETE", "/stacks/{ids:objectids}", delete_stacks, Role.USER),
    Route("POST", "/stacks/{ids:objectids}/change-status", post_status, Role.USER),
)

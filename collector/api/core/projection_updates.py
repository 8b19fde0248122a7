"""Publishes changes to the token projection after the commit, under a row lock: the newest state wins.

Ingest answers 401 or 404 for what is not in the projection, and clients drop their events on that answer. So
a new token, organization or project that cannot be published is deleted again; a change that cannot be
published stays, and the answer is 503.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final
from uuid import UUID

import structlog

from collector.api.core.service import Api
from collector.broker.errors import BrokerFull, BrokerUnavailable
from collector.database.owners.client_settings import newest_entry
from collector.database.owners.deletion import Gone, delete_organizations, delete_projects
from collector.database.owners.organizations import newest_organization_entry
from collector.database.owners.tokens import delete_tokens, newest_access, tokens_of_users
from collector.database.pool import connected
from collector.domain.access.projection import OrganizationEntry
from collector.domain.errors import Unavailable

_NOT_CREATED: Final = "The {kind} was not created: it could not be published to ingest. Please try again."
_NOT_PUBLISHED: Final = (
    "The change is stored, but it could not be published to ingest; the next sweep publishes it"
)
_DELETED: Final = f"{_NOT_PUBLISHED}."
_CHANGED: Final = f"{_NOT_PUBLISHED}, or repeating the request."

_log = structlog.get_logger()


async def publish_new_token(api: Api, lookup: str) -> None:
    """Publish a new token, which works at ingest once this returns; deletes it if that fails.

    If this process crashes in between, the sweep publishes a token whose secret was never shown.
    """
    try:
        with _unavailable_as(_NOT_CREATED.format(kind="token"), "token"):
            await _publish_newest(api, [lookup])
    except Unavailable:
        # Ingest would answer 401 to its first use, and the client would drop its events.
        async with connected(api.pool) as connection:
            await delete_tokens(connection, [lookup])
        raise


async def publish_new_organization(api: Api, organization_id: UUID, user_id: UUID | None) -> None:
    """Publish a new organization and its first member's tokens; deletes the organization if that fails."""
    try:
        with _unavailable_as(_NOT_CREATED.format(kind="organization"), "organization"):
            await api.projection.put_organization(organization_id.bytes, OrganizationEntry())
            if user_id is not None:
                await _publish_newest(api, await _lookups_of_user(api, user_id))
    except Unavailable:
        async with connected(api.pool) as connection:
            await delete_organizations(connection, [organization_id])
        raise


async def publish_new_project(api: Api, project_id: UUID) -> None:
    """Publish a new project with its settings; deletes the project if that fails."""
    try:
        with _unavailable_as(_NOT_CREATED.format(kind="project"), "project"):
            await _publish_newest_settings(api, project_id)
    except Unavailable:
        # Ingest would answer 404 to its first use, and the client would drop its events.
        async with connected(api.pool) as connection:
            await delete_projects(connection, [project_id])
        raise


async def publish_settings(api: Api, project_id: UUID) -> None:
    """Publish a project's current settings. Raises Unavailable."""
    with _unavailable_as(_CHANGED, "settings"):
        await _publish_newest_settings(api, project_id)


async def publish_organization(api: Api, organization_id: UUID) -> None:
    """Publish whether an organization is suspended. Raises Unavailable."""
    with _unavailable_as(_CHANGED, "organization"):
        async with (
            connected(api.pool) as connection,
            newest_organization_entry(connection, organization_id) as entry,
        ):
            if entry is not None:
                await api.projection.put_organization(organization_id.bytes, entry)


async def publish_tokens(api: Api, lookups: Iterable[str]) -> None:
    """Publish what these tokens give access to, or that they no longer exist. Raises Unavailable."""
    with _unavailable_as(_CHANGED, "tokens"):
        await _publish_newest(api, lookups)


async def publish_member(api: Api, user_id: UUID) -> None:
    """Publish which organizations a person's tokens give access to. Raises Unavailable."""
    await publish_tokens(api, await _lookups_of_user(api, user_id))


async def revoke_at_ingest(api: Api, lookups: Sequence[str]) -> None:
    """Remove deleted tokens from the projection, which also works while Redis is full. Raises Unavailable."""
    with _unavailable_as(_CHANGED, "tokens"):
        await api.projection.remove_tokens(lookups)


async def publish_deletions(api: Api, gone: Gone, organization_ids: Sequence[UUID] = ()) -> None:
    """Remove deleted organizations, projects and their tokens from the projection. Raises Unavailable."""
    with _unavailable_as(_DELETED, "deletion"):
        await api.projection.remove_tokens(gone.tokens)
        await api.projection.remove_projects([project.bytes for project in gone.projects])
        await api.projection.remove_organizations([organization.bytes for organization in organization_ids])
        await _publish_newest(api, gone.changed_tokens)


async def _publish_newest(api: Api, lookups: Iterable[str]) -> None:
    async with connected(api.pool) as connection:
        for lookup in lookups:
            # The row stays locked until it is published: of two changes, the newer one is published last.
            async with newest_access(connection, lookup) as access:
                if access is None:
                    await api.projection.remove_tokens([lookup])
                else:
                    await api.projection.put_token(lookup, access.entry)


async def _publish_newest_settings(api: Api, project_id: UUID) -> None:
    async with connected(api.pool) as connection, newest_entry(connection, project_id) as entry:
        if entry is not None:
            await api.projection.put_project(project_id.bytes, entry)


async def _lookups_of_user(api: Api, user_id: UUID) -> list[str]:
    async with connected(api.pool) as connection:
        return await tokens_of_users(connection, [user_id])


@contextmanager
def _unavailable_as(message: str, kind: str) -> Iterator[None]:
    """Log a failure of Redis, and answer 503 with this message."""
    try:
        yield
    except (BrokerUnavailable, BrokerFull) as error:
        _log.warning("a change could not be published to ingest", kind=kind, cause=str(error))
        raise Unavailable(message) from error

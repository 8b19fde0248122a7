"""Telling ingest what has changed: after the commit, and the newest state, which nobody changes meanwhile.

An ingest process answers 401 or 404 for what it does not know, and clients drop their events on that. So what
is new and could not be told is taken back, and nobody gets it; what is changed stays changed, and the answer
is 503.
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

_NOT_MADE: Final = (
    "The {kind} was not made: ingest that take events could not be told of it. Please repeat it."
)
_NOT_TOLD: Final = (
    "It is done for reading and managing, but ingest that take events could not be told; they are by the "
    "next sweep"
)
_ENDED: Final = f"{_NOT_TOLD}."
_CHANGED: Final = f"{_NOT_TOLD}, or when this is repeated."

_log = structlog.get_logger()


async def publish_new_token(api: Api, lookup: str) -> None:
    """A token works at ingest once this returns; if they cannot be told, there is none.

    Should this process end in between, the sweep tells ingest, of a token whose secret was never shown.
    """
    try:
        with _telling("token", _NOT_MADE.format(kind="token")):
            await _publish_newest(api, [lookup])
    except Unavailable:
        async with connected(api.pool) as connection:
            await delete_tokens(connection, [lookup])
        raise


async def publish_new_organization(api: Api, organization_id: UUID, user_id: UUID | None) -> None:
    """An organization and that its first member's tokens belong to it, if it has one."""
    try:
        with _telling("organization", _NOT_MADE.format(kind="organization")):
            await api.projection.put_organization(organization_id.bytes, OrganizationEntry())
            if user_id is not None:
                await _publish_newest(api, await _tokens_of(api, user_id))
    except Unavailable:
        async with connected(api.pool) as connection:
            await delete_organizations(connection, [organization_id])
        raise


async def publish_new_project(api: Api, project_id: UUID) -> None:
    """A project with its settings."""
    try:
        with _telling("project", _NOT_MADE.format(kind="project")):
            await _publish_newest_settings(api, project_id)
    except Unavailable:
        async with connected(api.pool) as connection:
            await delete_projects(connection, [project_id])
        raise


async def publish_settings(api: Api, project_id: UUID) -> None:
    """The settings that a project has now. Raises Unavailable."""
    with _telling("settings", _CHANGED):
        await _publish_newest_settings(api, project_id)


async def publish_organization(api: Api, organization_id: UUID) -> None:
    """Whether an organization is suspended now. Raises Unavailable."""
    with _telling("organization", _CHANGED):
        async with (
            connected(api.pool) as connection,
            newest_organization_entry(connection, organization_id) as entry,
        ):
            if entry is not None:
                await api.projection.put_organization(organization_id.bytes, entry)


async def publish_tokens(api: Api, lookups: Iterable[str]) -> None:
    """What these tokens give access to now, or that they are gone. Raises Unavailable."""
    with _telling("tokens", _CHANGED):
        await _publish_newest(api, lookups)


async def publish_member(api: Api, user_id: UUID) -> None:
    """The organizations that a person's tokens give access to now. Raises Unavailable."""
    await publish_tokens(api, await _tokens_of(api, user_id))


async def revoke_at_ingest(api: Api, lookups: Sequence[str]) -> None:
    """Tokens are gone; also works while Redis is full. Raises Unavailable."""
    with _telling("tokens", _CHANGED):
        await api.projection.remove_tokens(lookups)


async def publish_deletions(api: Api, gone: Gone, organization_ids: Sequence[UUID] = ()) -> None:
    """Organizations and projects are gone, with their tokens. Raises Unavailable."""
    with _telling("deletion", _ENDED):
        await api.projection.remove_tokens(gone.tokens)
        await api.projection.remove_projects([project.bytes for project in gone.projects])
        await api.projection.remove_organizations([organization.bytes for organization in organization_ids])
        await _publish_newest(api, gone.changed_tokens)


async def _publish_newest(api: Api, lookups: Iterable[str]) -> None:
    async with connected(api.pool) as connection:
        for lookup in lookups:
            async with newest_access(connection, lookup) as access:
                if access is None:
                    await api.projection.remove_tokens([lookup])
                else:
                    await api.projection.put_token(lookup, access.entry)


async def _publish_newest_settings(api: Api, project_id: UUID) -> None:
    async with connected(api.pool) as connection, newest_entry(connection, project_id) as entry:
        if entry is not None:
            await api.projection.put_project(project_id.bytes, entry)


async def _tokens_of(api: Api, user_id: UUID) -> list[str]:
    async with connected(api.pool) as connection:
        return await tokens_of_users(connection, [user_id])


@contextmanager
def _telling(kind: str, otherwise: str) -> Iterator[None]:
    try:
        yield
    except (BrokerUnavailable, BrokerFull) as error:
        _log.warning("ingest processes could not be told", of=kind, cause=str(error))
        raise Unavailable(otherwise) from error

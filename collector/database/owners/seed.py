"""The first organization, project, user and tokens of an installation."""

import asyncio
import secrets
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import asyncpg

from collector.database.errors import DatabaseUnavailable, translated
from collector.database.owners.deletion import is_deleted
from collector.database.owners.organizations import add_member, add_organization
from collector.database.owners.projects import add_project
from collector.database.owners.tokens import (
    LOGIN_VALID,
    Token,
    access_token,
    add_token,
    extend_login,
    find_client_token,
    find_tokens,
    login_token,
)
from collector.database.owners.users import User, add_user, find_user
from collector.database.pool import connect_once
from collector.domain.access.password import hash_password, is_password
from collector.domain.access.scope import CLIENT, GLOBAL, with_implied
from collector.domain.access.token import lookup_prefix, new_token, token_digest
from collector.domain.ids import PostIds
from collector.process.lifecycle import StartError

_ORGANIZATION_NAME: Final = "My organization"
_PROJECT_NAME: Final = "My project"
_FULL_NAME: Final = "Admin"
_PASSWORD_BYTES: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Seed:
    """What an installation begins with; the caller keeps it and passes it again at every start.

    Ids are 32 hex characters; `user_token` is a login token. `password` is empty if it was changed since and
    is therefore unknown here.
    """

    email: str
    password: str
    user_token: str
    client_token: str
    organization_id: str
    project_id: str


async def seed(database_url: str, wanted: Seed) -> Seed:
    """Create what is missing and return what is in force.

    Never reverts a change: if the password was changed, the returned one is empty; a revoked token stays
    revoked, and another one is returned in its place. Raises StartError if the database is unavailable.
    """
    connection = await connect_once(database_url)
    try:
        with translated():
            async with connection.transaction():
                return await _seed(connection, wanted)
    except DatabaseUnavailable as error:
        raise StartError(f"The first organization could not be written: {error}.") from None
    finally:
        await connection.close(timeout=5)


async def _seed(connection: asyncpg.Connection, wanted: Seed) -> Seed:
    now = datetime.now(UTC)
    # The id of a deleted project cannot be used again: the purge is removing its events.
    if await is_deleted(connection, UUID(wanted.project_id)):
        wanted = replace(wanted, project_id=UUID(bytes=PostIds().next(int(now.timestamp() * 1000))).hex)
    organization_id, project_id = UUID(wanted.organization_id), UUID(wanted.project_id)
    await add_organization(connection, organization_id, _ORGANIZATION_NAME)
    is_new = await add_project(connection, project_id, organization_id, _PROJECT_NAME)
    user, password = await _user(connection, wanted, now)
    await add_member(connection, organization_id, user.id)
    return replace(
        wanted,
        password=password,
        user_token=await _login(connection, wanted, user.id, now, is_new=is_new),
        client_token=await _client_token(connection, wanted, now, is_new=is_new),
    )


async def _user(connection: asyncpg.Connection, wanted: Seed, now: datetime) -> tuple[User, str]:
    """The user with that address, created with every scope if missing, and the password if we know it."""
    found = await find_user(connection, wanted.email)
    if found is not None:
        is_known = await asyncio.to_thread(is_password, found.password_hash, wanted.password)
        return found, wanted.password if is_known else ""
    password = wanted.password or secrets.token_urlsafe(_PASSWORD_BYTES)
    user = User(
        id=UUID(bytes=PostIds().next(int(now.timestamp() * 1000))),
        email_address=wanted.email,
        full_name=_FULL_NAME,
        roles=with_implied([GLOBAL]),
        is_active=True,
        password_hash=await asyncio.to_thread(hash_password, password),
    )
    await add_user(connection, user)
    return user, password


async def _login(
    connection: asyncpg.Connection, wanted: Seed, user_id: UUID, now: datetime, *, is_new: bool
) -> str:
    """A login token of the user, renewed to its full lifetime."""
    stored = await _stored_token(connection, wanted.user_token)
    if stored is not None and stored.user_id == user_id:
        await extend_login(connection, stored.id, now + LOGIN_VALID)
        return wanted.user_token
    # A missing token was revoked, unless the installation is new.
    secret = wanted.user_token if is_new and stored is None else new_token()
    await add_token(connection, login_token(secret, user_id, now))
    return secret


async def _client_token(connection: asyncpg.Connection, wanted: Seed, now: datetime, *, is_new: bool) -> str:
    """A token for posting to the project: the wanted one, unless it was revoked or disabled."""
    project_id = UUID(wanted.project_id)
    stored = await _stored_token(connection, wanted.client_token)
    if stored is not None and stored.project_id == project_id and not stored.is_disabled:
        return wanted.client_token
    other = await find_client_token(connection, project_id, now)
    if other is not None and other.clear_text is not None:
        return other.clear_text
    secret = wanted.client_token if is_new and stored is None else new_token()
    owner = {"organization_id": UUID(wanted.organization_id), "project_id": project_id}
    await add_token(connection, access_token(secret, (CLIENT,), now, **owner))
    return secret


async def _stored_token(connection: asyncpg.Connection, secret: str) -> Token | None:
    """The stored token whose whole text is `secret`."""
    found = await find_tokens(connection, [lookup_prefix(secret)])
    return next((token for token in found if token.digest == token_digest(secret)), None)

"""The operators' commands for users, who are named by e-mail address or id."""

from collections.abc import Sequence

import asyncpg

from collector.admin.naming import resolve_organization
from collector.api.auth.accounts import add_account
from collector.api.auth.attempts import forget_login_ips
from collector.api.auth.sign_up import SignUp
from collector.api.auth.users import UserView, user_view
from collector.api.core.projection_updates import publish_member, revoke_at_ingest
from collector.api.core.service import Api
from collector.api.request.request_body import converted
from collector.database.owners.organizations import add_member
from collector.database.owners.tokens import delete_tokens_of_user
from collector.database.owners.users import (
    User,
    all_users,
    change_activity,
    delete_user,
    find_user,
    find_user_by_id,
    lock_user,
    set_password,
)
from collector.database.pool import connected
from collector.database.row_lock import RowLock
from collector.domain.access.email import email_error
from collector.domain.access.scope import CLIENT, GLOBAL, USER
from collector.domain.errors import Conflict, Invalid, NotFound
from collector.domain.ids import parse_uuid


async def create(
    api: Api, email: str, name: str, password: str, organizations: Sequence[str], *, is_global: bool
) -> UserView:
    """Create a user in these organizations; the first user of an installation gets every right."""
    wanted = converted({"email": email, "name": name, "password": password}, SignUp)
    if fault := email_error(wanted.email):
        raise Invalid(fields={"email": [fault]})
    async with connected(api.pool) as connection:
        for organization in organizations:
            await resolve_organization(connection, organization)
    roles = (GLOBAL,) if is_global else (USER, CLIENT)
    user = await add_account(api, wanted.email, wanted.name, wanted.password, roles)
    if user is None:
        raise Conflict(f"The address {wanted.email} already has an account.")
    async with connected(api.pool) as connection, connection.transaction():
        for organization in organizations:
            found = await resolve_organization(connection, organization, RowLock.KEEP)
            await add_member(connection, found.id, user.id)
    return await show(api, user.id.hex)


async def list_all(api: Api) -> list[UserView]:
    """All users, by address."""
    async with connected(api.pool) as connection:
        return [user_view(user) for user in await all_users(connection)]


async def show(api: Api, name: str) -> UserView:
    """One user, by address or id."""
    async with connected(api.pool) as connection:
        return user_view(await _named(connection, name))


async def change(api: Api, name: str, *, is_active: bool) -> UserView:
    """Disable or enable a user together with their tokens, which are kept."""
    async with connected(api.pool) as connection:
        user = await _named(connection, name)
        await change_activity(connection, user.id, api.clock.now(), is_active=is_active)
    await publish_member(api, user.id)
    return await show(api, user.id.hex)


async def change_password(api: Api, name: str, password: str) -> UserView:
    """Change a user's password, which revokes all their logins and tokens."""
    wanted = converted({"email": "-", "name": "-", "password": password}, SignUp)
    password_hash = await api.passwords.hashed(wanted.password)
    async with connected(api.pool) as connection, connection.transaction():
        user = await lock_user(connection, (await _named(connection, name)).id)
        if user is None or not await set_password(connection, user, password_hash, api.clock.now()):
            raise Conflict("The user is disabled and was not changed: run `headrace user enable` first.")
        ended = await delete_tokens_of_user(connection, user.id)
    await forget_login_ips(api, user.email_address)
    await revoke_at_ingest(api, ended)
    return user_view(user)


async def delete(api: Api, name: str) -> UserView:
    """Delete a user and their tokens; what they created stays."""
    async with connected(api.pool) as connection, connection.transaction():
        user = await _named(connection, name)
        await lock_user(connection, user.id)  # otherwise a concurrent login could create another token
        ended = await delete_tokens_of_user(connection, user.id)
        await delete_user(connection, user.id)
    await revoke_at_ingest(api, ended)
    return user_view(user)


async def _named(connection: asyncpg.Connection, name: str) -> User:
    user_id = parse_uuid(name)
    user = (
        await find_user(connection, name) if user_id is None else await find_user_by_id(connection, user_id)
    )
    if user is None:
        raise NotFound(f"There is no user {name}.")
    return user

"""Users as answers show them, reading one and changing a name."""

from dataclasses import replace
from typing import Annotated, Final

import asyncpg
import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, UnsetType

from collector.api.auth.authentication import IDENTITY
from collector.api.core.route import Role, Route
from collector.api.core.service import API
from collector.api.request.request_body import read_body
from collector.database.owners.users import User, find_user_by_id, rename_user
from collector.database.pool import connected
from collector.database.text import storable
from collector.domain.errors import NotFound
from collector.domain.ids import parse_uuid
from collector.http.operation import Answer, documented, json_body
from collector.http.responses import json_response

PersonName = Annotated[str, Meta(pattern=r"\S", max_length=255, description="a text of 1 to 255 characters")]


class UserView(msgspec.Struct, frozen=True, kw_only=True):
    """A user as other members of the organization see them. Addresses are not verified: no mail is sent."""

    id: str
    organization_ids: tuple[str, ...]
    full_name: str
    email_address: str
    email_notifications_enabled: bool = False
    is_email_address_verified: bool = False
    is_active: bool
    is_invite: bool = False
    roles: tuple[str, ...]


class CurrentUserView(UserView, frozen=True, kw_only=True):
    """The user who makes the request."""

    has_local_account: bool
    o_auth_accounts: tuple[()] = ()


class UserChange(msgspec.Struct, frozen=True, kw_only=True):
    """The members of a user that can be changed; those left out stay as they are."""

    full_name: PersonName | UnsetType = UNSET
    email_notifications_enabled: bool | UnsetType = UNSET


@documented("User", {200: Answer(CurrentUserView)}, refusals=(NotFound,))
async def get_me(request: web.Request) -> web.Response:
    """Show the current user; 404 for a token that belongs to no person."""
    user_id = request[IDENTITY].user_id
    user = None
    if user_id is not None:
        async with connected(request.app[API].pool) as connection:
            user = await find_user_by_id(connection, user_id)
    if user is None:
        raise NotFound("This token belongs to no person.")
    members = msgspec.structs.asdict(user_view(user))
    return json_response(CurrentUserView(**members, has_local_account=user.password_hash is not None))


@documented("User", {200: Answer(UserView)}, refusals=(NotFound,))
async def get_user(request: web.Request) -> web.Response:
    """Show a user: yourself, or any user with the scope `global`."""
    async with connected(request.app[API].pool) as connection:
        user = await _reachable_user(connection, request)
    return json_response(user_view(user))


@documented(
    "User", {200: Answer(UserView)}, body=json_body(UserChange, {"full_name": "You"}), refusals=(NotFound,)
)
async def patch_user(request: web.Request) -> web.Response:
    """Change a user's name. Nothing is sent by mail here: `email_notifications_enabled` stays false."""
    change = await read_body(request, UserChange, is_required=True)
    async with connected(request.app[API].pool) as connection, connection.transaction():
        user = await _reachable_user(connection, request)
        if change.full_name is not UNSET:
            user = replace(user, full_name=storable(change.full_name.strip()))
            await rename_user(connection, user, request.app[API].clock.now())
    return json_response(user_view(user))


async def _reachable_user(connection: asyncpg.Connection, request: web.Request) -> User:
    identity, user_id = request[IDENTITY], parse_uuid(request.match_info["id"])
    is_visible = user_id is not None and (identity.is_global or user_id == identity.user_id)
    user = await find_user_by_id(connection, user_id) if user_id is not None and is_visible else None
    if user is None:
        raise NotFound("There is no such user.")
    return user


def user_view(user: User) -> UserView:
    """The user as answers show them."""
    return UserView(
        id=user.id.hex,
        organization_ids=tuple(organization.hex for organization in user.organization_ids),
        full_name=user.full_name,
        email_address=user.email_address,
        is_active=user.is_active,
        roles=user.roles,
    )


ROUTES: Final = (
    Route("GET", "/users/me", get_me, Role.USER),
    Route("GET", "/users/{id:objectid}", get_user, Role.USER),
    Route("PATCH", "/users/{id:objectid}", patch_user, Role.PERSON),
    Route("PUT", "/users/{id:objectid}", patch_user, Role.PERSON),
)

"""Users as answers show them, and `GET users/me`."""

from typing import Final

import msgspec
from aiohttp import web

from collector.api.auth.authentication import IDENTITY
from collector.api.core.route import Role, Route
from collector.api.core.service import API
from collector.database.owners.users import User, find_user_by_id
from collector.database.pool import connected
from collector.domain.errors import NotFound
from collector.http.operation import Answer, documented
from collector.http.responses import json_response


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


ROUTES: Final = (Route("GET", "/users/me", get_me, Role.USER),)

"""Members of an organization: list, invite, accept an invitation, remove.

People become members by accepting an invitation, even if they have an account (contract 10, row 24). No mail
is sent; the organization's view shows the invitations. Adding and removing needs a login: a member
can create tokens, so a program that could invite would be able to obtain more of them.
"""

from dataclasses import replace
from functools import partial
from http import HTTPStatus
from typing import Final

import msgspec
from aiohttp import web

from collector.api.auth.authentication import IDENTITY
from collector.api.auth.login import InviteToken
from collector.api.auth.users import UserView, user_view
from collector.api.core.projection_updates import publish_member
from collector.api.core.route import Role, Route
from collector.api.core.service import API
from collector.api.manage.organizations import reachable_organization
from collector.api.request.lists import LIST_HEADERS, counted_list_response, read_page
from collector.api.request.parameters import paging, query_parameters, requested_page
from collector.api.request.request_body import read_body
from collector.database.owners.invitations import Invitation, accept, invite, withdraw
from collector.database.owners.organizations import remove_member
from collector.database.owners.users import (
    count_members,
    find_user,
    find_user_by_id,
    list_members,
    normal_email,
)
from collector.database.pool import connected
from collector.database.row_lock import RowLock
from collector.domain.access.email import email_error
from collector.domain.access.token import new_token
from collector.domain.errors import BadRequest, Invalid, NotFound
from collector.http.operation import Answer, documented, json_body
from collector.http.responses import json_response

_MAXIMUM_LIMIT: Final = 100


class Invited(msgspec.Struct, frozen=True):
    """The person who is a member of the organization, or invited."""

    email_address: str


class Acceptance(msgspec.Struct, frozen=True):
    """An invitation to an organization."""

    invite_token: InviteToken


@documented("User", {200: Answer(list[UserView], headers=LIST_HEADERS)}, parameters=paging(_MAXIMUM_LIMIT))
async def get_members(request: web.Request) -> web.Response:
    """List the members of an organization, sorted by address."""
    identity, page = request[IDENTITY], requested_page(query_parameters(request), maximum=_MAXIMUM_LIMIT)
    async with connected(request.app[API].pool) as connection:
        organization = await reachable_organization(
            connection, identity, request.match_info["organizationId"]
        )
        total = await count_members(connection, organization.id)
        found = await read_page(page, partial(list_members, connection, organization.id))
    # Members' other organizations do not exist for a caller who does not belong to them.
    views = [
        user_view(replace(user, organization_ids=tuple(filter(identity.reaches, user.organization_ids))))
        for user in found
    ]
    return counted_list_response(request, views, page, total)


@documented("Organization", {200: Answer(Invited)}, refusals=(Invalid,))
async def post_member(request: web.Request) -> web.Response:
    """Invite a person to an organization, with an account or without; the organization shows the invitation.

    They become a member when they sign up or log in with its `invite_token`, or accept it while logged in.
    """
    api, email = request.app[API], request.match_info["email"].strip()
    if fault := email_error(email):
        raise Invalid(fields={"email": [fault]})
    async with connected(api.pool) as connection, connection.transaction():
        organization = await reachable_organization(
            connection, request[IDENTITY], request.match_info["id"], RowLock.KEEP
        )
        user = await find_user(connection, email)
        if user is None or organization.id not in user.organization_ids:
            await invite(connection, Invitation(organization.id, email, new_token(), api.clock.now()))
    return json_response(Invited(normal_email(email)))


@documented(
    "User",
    {200: Answer(UserView)},
    body=json_body(Acceptance, {"invite_token": "0123456789abcdefghijklmnopqrstuvwxyzABCD"}),
    refusals=(NotFound,),
)
async def post_acceptance(request: web.Request) -> web.Response:
    """Accept an invitation: makes the current user a member of the organization; 404 unless it is valid."""
    api, body = request.app[API], await read_body(request, Acceptance)
    person = request[IDENTITY].person
    async with connected(api.pool) as connection, connection.transaction():
        user = await find_user_by_id(connection, person)
        if user is None or not await accept(connection, body.invite_token, person, api.clock.now()):
            raise NotFound("There is no such invitation; it may have expired, or it was used.")
        user = await find_user_by_id(connection, person) or user  # now with the organization
    await publish_member(api, person)
    return json_response(user_view(user))


@documented("Organization", {200: Answer()}, refusals=(BadRequest,))
async def delete_member(request: web.Request) -> web.Response:
    """Remove a member from an organization, or withdraw an invitation; the last member cannot be removed."""
    api, email = request.app[API], request.match_info["email"]
    async with connected(api.pool) as connection, connection.transaction():
        # Without the lock, the last two members could remove each other.
        organization = await reachable_organization(
            connection, request[IDENTITY], request.match_info["id"], RowLock.CHANGE
        )
        user = await find_user(connection, email)
        if user is None or organization.id not in user.organization_ids:
            await withdraw(connection, organization.id, email)
        elif await count_members(connection, organization.id) == 1:
            raise BadRequest("An organization must contain at least one user.")
        else:
            await remove_member(connection, organization.id, user.id)
    if user is not None:
        await publish_member(api, user.id)
    return web.Response(status=HTTPStatus.OK)


ROUTES: Final = (
    Route("GET", "/organizations/{organizationId:objectid}/users", get_members, Role.USER),
    Route("POST", "/organizations/{id:objectid}/users/{email:text}", post_member, Role.PERSON),
    Route("DELETE", "/organizations/{id:objectid}/users/{email:text}", delete_member, Role.PERSON),
    Route("POST", "/users/me/invitations", post_acceptance, Role.PERSON),
)

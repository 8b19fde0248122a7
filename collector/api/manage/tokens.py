"""Access tokens: list, read, create, change, revoke (contract 2; needs a login)."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any, Final, NamedTuple
from uuid import UUID

import asyncpg
import msgspec
from aiohttp import hdrs, web
from msgspec import UNSET, Meta, UnsetType

from collector.api.auth.authentication import IDENTITY, Identity
from collector.api.core.absolute_urls import absolute_url
from collector.api.core.deletion import DELETED, BulkResult, asked_ids, bulk_response
from collector.api.core.projection_updates import publish_new_token, publish_tokens, revoke_at_ingest
from collector.api.core.route import Role, Route
from collector.api.core.service import API, Api
from collector.api.manage.organizations import named_organization
from collector.api.manage.projects import named_project, reachable_project
from collector.api.manage.token_view import TokenView, token_view
from collector.api.request.lists import LIST_HEADERS, counted_list_response, read_page
from collector.api.request.parameters import paging, query_parameters, requested_page
from collector.api.request.request_body import EXAMPLE_ID, ObjectId, read_body
from collector.database.owners.projects import Project
from collector.database.owners.tokens import (
    ACCESS,
    Token,
    access_token,
    add_token,
    change_token,
    count_tokens,
    count_tokens_of,
    find_client_token,
    find_tokens,
    list_tokens,
    lock_token,
)
from collector.database.owners.tokens import delete_tokens as delete_from_database
from collector.database.pool import connected
from collector.database.row_lock import RowLock
from collector.domain.access.scope import CLIENT, GLOBAL, GRANTABLE, with_implied
from collector.domain.access.token import LOOKUP_LENGTH, lookup_prefix, new_token, token_digest
from collector.domain.errors import BadRequest, Invalid, NotFound
from collector.domain.ids import parse_uuid
from collector.http.operation import Answer, documented, json_body
from collector.http.responses import json_response

_MAXIMUM_LIMIT: Final = 100
TOKENS_AT_MOST: Final = 1000
"""Of one owner: each takes memory in Redis."""
_NO_TOKEN: Final = "There is no such token."  # noqa: S105 - a sentence
_NOT_YOURS: Final = "Only tokens of your own can be deleted."
_EARLIEST_EXPIRY: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST_EXPIRY: Final = datetime.max.replace(tzinfo=UTC)
"""The driver stores this value as `infinity`."""
_AN_EXPIRY: Final = "a time in the years 1970 to 9999, such as 2030-01-31T12:00:00Z"
_EXAMPLE: Final = {"scopes": ["user"], "notes": "my first token"}
_LISTED: Final = {200: Answer(list[TokenView], headers=LIST_HEADERS)}
_MADE: Final = {
    201: Answer(
        TokenView, "Created; `id` is the full token and is shown only this once.", headers=("Location",)
    )
}

Expiry = Annotated[datetime, Meta(description=_AN_EXPIRY)]
Notes = Annotated[str, Meta(max_length=1000, description="a text of at most 1000 characters")]


class TokenChange(msgspec.Struct, frozen=True, kw_only=True):
    """The members of a token that can be changed; those left out stay as they are."""

    is_disabled: bool | UnsetType = UNSET
    notes: Notes | UnsetType | None = UNSET


class NewToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token to be created. The organization or project in the path takes precedence over the body's."""

    organization_id: ObjectId | None = None
    project_id: ObjectId | None = None
    default_project_id: ObjectId | None = None
    scopes: list[str] = []
    expires_utc: Expiry | None = None
    notes: Notes | None = None


class Made(NamedTuple):
    """A new token and its full text, which is not stored."""

    token: Token
    secret: str


@documented("Token", _LISTED, parameters=paging(_MAXIMUM_LIMIT))
async def get_tokens_of_organization(request: web.Request) -> web.Response:
    """List the access tokens of an organization and of all its projects."""
    organization_id = parse_uuid(request.match_info["organizationId"])
    if not request[IDENTITY].reaches(organization_id):
        raise NotFound("There is no such organization.")
    return await _list(request, organization_id)


@documented("Token", _LISTED, parameters=paging(_MAXIMUM_LIMIT))
async def get_tokens_of_project(request: web.Request) -> web.Response:
    """List the access tokens of a project."""
    async with connected(request.app[API].pool) as connection:
        project = await reachable_project(connection, request[IDENTITY], request.match_info["projectId"])
    return await _list(request, project.id)


@documented("Token", {200: Answer(TokenView)})
async def get_token(request: web.Request) -> web.Response:
    """Get one token, by its public part or its full text."""
    async with connected(request.app[API].pool) as connection:
        token = await reachable_token(connection, request[IDENTITY], request.match_info["id"])
    return json_response(token_view(token))


@documented(
    "Token", {200: Answer(TokenView)}, body=json_body(TokenChange, {"notes": "no longer my first token"})
)
async def patch_token(request: web.Request) -> web.Response:
    """Change a token; 200 once ingest knows the change. 503 means stored, but not yet published to ingest."""
    change = await read_body(request, TokenChange, is_required=True)
    token = await apply_change(request.app[API], request[IDENTITY], request.match_info["id"], change)
    return json_response(token_view(token))


@documented("Token", DELETED, refusals=(BadRequest,))
async def delete_tokens(request: web.Request) -> web.Response:
    """Revoke tokens; 202 once ingest refuses them. 503 means revoked, but not yet published to ingest."""
    api, identity, asked = request.app[API], request[IDENTITY], asked_ids(request)
    result = BulkResult()
    async with connected(api.pool) as connection:
        found = {token.id: token for token in await find_tokens(connection, map(lookup_prefix, asked))}
        # What does not exist, or belongs to others, does not keep the rest from being revoked.
        for text in asked:
            token = found.get(lookup_prefix(text))
            if token is None or not _exists_for(identity, token, text):
                result.add_not_found(text, _NO_TOKEN)
            elif not _may_manage(identity, token):
                result.add_denied(text, _NOT_YOURS)
            else:
                result.success.append(text)
        revoked = sorted({lookup_prefix(text) for text in result.success})
        await delete_from_database(connection, revoked)
    # Unknown tokens, too: repeating the request after a 503 publishes what the first attempt could not.
    absent = [lookup_prefix(text) for text in asked if lookup_prefix(text) not in found]
    await revoke_at_ingest(api, [*revoked, *absent])
    return bulk_response(result)


@documented("Token", _MADE, body=json_body(NewToken, {"project_id": EXAMPLE_ID, **_EXAMPLE}))
async def post_token(request: web.Request) -> web.Response:
    """Create a token for the project that the body names; its organization is the project's."""
    api, identity = request.app[API], request[IDENTITY]
    wanted = await read_body(request, NewToken, is_required=True)
    if wanted.project_id is None:
        raise BadRequest(Invalid().title, fields={"project_id": ["The project_id field is required."]})
    async with connected(api.pool) as connection, connection.transaction():
        project = await _project_in_body(connection, identity, "project_id", wanted.project_id)
        made = await make_token_for_project(api, connection, identity, wanted, project)
    return await _shown_once(request, made)


@documented("Token", _MADE, body=json_body(NewToken, _EXAMPLE, is_required=False))
async def post_token_of_project(request: web.Request) -> web.Response:
    """Create a token for a project; `id` in the answer is the full secret and is shown only this once."""
    api, identity, wanted = request.app[API], request[IDENTITY], await read_body(request, NewToken)
    async with connected(api.pool) as connection, connection.transaction():
        project = await reachable_project(connection, identity, request.match_info["projectId"], RowLock.KEEP)
        made = await make_token_for_project(api, connection, identity, wanted, project)
    return await _shown_once(request, made)


@documented("Token", _MADE, body=json_body(NewToken, _EXAMPLE, is_required=False))
async def post_token_of_organization(request: web.Request) -> web.Response:
    """Create a token for a whole organization, or for one of its projects if the body names it."""
    api, identity, wanted = request.app[API], request[IDENTITY], await read_body(request, NewToken)
    async with connected(api.pool) as connection, connection.transaction():
        organization = await named_organization(
            connection, identity, request.match_info["organizationId"], RowLock.KEEP
        )
        if organization is None:
            raise BadRequest("Invalid organization.")
        owned: dict[str, Any] = {
            "organization_id": organization.id,
            "is_suspended": organization.is_suspended,
        }
        for name in ("project_id", "default_project_id"):
            if asked := getattr(wanted, name):
                project = await _project_in_body(connection, identity, name, asked)
                if project.organization_id != organization.id:
                    raise _invalid(name)
                owned[name] = project.id
        # A token of one project needs no default.
        if "project_id" in owned:
            owned.pop("default_project_id", None)
        made = await make_token(api, connection, identity, wanted, **owned)
    return await _shown_once(request, made)


@documented("Token", {200: Answer(TokenView), **_MADE})
async def get_default_token(request: web.Request) -> web.Response:
    """Get the project's first token with only the scope `client`: 200, or 201 if it had to be created."""
    api, identity = request.app[API], request[IDENTITY]
    async with connected(api.pool) as connection, connection.transaction():
        # Without the lock, two simultaneous requests would create two tokens.
        project = await reachable_project(
            connection, identity, request.match_info["projectId"], RowLock.CHANGE
        )
        found = await find_client_token(connection, project.id, api.clock.now())
        if found is not None:
            return json_response(token_view(found))
        made = await make_token_for_project(api, connection, identity, NewToken(), project)
    return await _shown_once(request, made)


async def _list(request: web.Request, owner: UUID | None) -> web.Response:
    page = requested_page(query_parameters(request), maximum=_MAXIMUM_LIMIT)
    total, found = 0, list[Token]()
    if owner is not None:
        async with connected(request.app[API].pool) as connection:
            total = await count_tokens(connection, owner)
            found = await read_page(page, partial(list_tokens, connection, owner))
    return counted_list_response(request, [token_view(token) for token in found], page, total)


async def apply_change(api: Api, identity: Identity, text: str, change: TokenChange) -> Token:
    """Change the token that `text` names and publish it to ingest; returns its new state."""
    async with connected(api.pool) as connection, connection.transaction():
        await lock_token(connection, lookup_prefix(text))
        found = await reachable_token(connection, identity, text)
        token = replace(
            found,
            is_disabled=found.is_disabled if change.is_disabled is UNSET else change.is_disabled,
            notes=found.notes if change.notes is UNSET else change.notes,
        )
        if token != found:
            token = replace(token, updated_utc=api.clock.now())
            await change_token(connection, token)
    await publish_tokens(api, [token.id])
    return token


async def reachable_token(connection: asyncpg.Connection, identity: Identity, text: str) -> Token:
    """The token that `text` names. Raises NotFound, also for another organization's or person's token."""
    found = await find_tokens(connection, [lookup_prefix(text)])
    if not found or not _exists_for(identity, found[0], text) or not _may_manage(identity, found[0]):
        raise NotFound(_NO_TOKEN)
    return found[0]


def _exists_for(identity: Identity, token: Token, text: str) -> bool:
    """Whether `text` is the token's public part or its full text; login tokens are not a resource."""
    is_named = len(text) == LOOKUP_LENGTH or token.digest == token_digest(text)
    return is_named and token.kind == ACCESS and identity.reaches(token.organization_id)


def _may_manage(identity: Identity, token: Token) -> bool:
    """A token that belongs to a person can be managed only by that person."""
    return token.user_id in {None, identity.user_id} or identity.is_global


async def make_token_for_project(
    api: Api,
    connection: asyncpg.Connection,
    identity: Identity,
    wanted: NewToken,
    project: Project,
    secret: str | None = None,
) -> Made:
    """Create a token for a project whose row the caller has locked; the caller publishes it to ingest."""
    return await make_token(
        api,
        connection,
        identity,
        wanted,
        secret,
        organization_id=project.organization_id,
        project_id=project.id,
        is_suspended=project.is_suspended,
    )


async def make_token(
    api: Api,
    connection: asyncpg.Connection,
    identity: Identity,
    wanted: NewToken,
    secret: str | None = None,
    **owned: Any,
) -> Made:
    """Create a token with `secret`, or a random one; the caller publishes it to ingest."""
    secret = secret or new_token()
    token = access_token(
        secret,
        _granted(wanted.scopes, identity),
        api.clock.now(),
        notes=wanted.notes,
        expires_utc=_expiry_in_utc(wanted.expires_utc),
        **owned,
    )
    if await count_tokens_of(connection, token) >= TOKENS_AT_MOST:
        raise BadRequest(f"A project, an organization and a person can have at most {TOKENS_AT_MOST} tokens.")
    await add_token(connection, token)
    return Made(token, secret)


async def _shown_once(request: web.Request, made: Made) -> web.Response:
    """The answer with the full secret, once ingest accepts the token."""
    await publish_new_token(request.app[API], made.token.id)
    return json_response(
        token_view(made.token, made.secret),
        HTTPStatus.CREATED,
        {
            hdrs.LOCATION: absolute_url(request, f"/api/v2/tokens/{made.token.id}"),
            hdrs.CACHE_CONTROL: "no-store",
        },
    )


async def _project_in_body(
    connection: asyncpg.Connection, identity: Identity, field: str, project_id: str
) -> Project:
    project = await named_project(connection, identity, project_id, RowLock.KEEP)
    if project is None:
        raise _invalid(field)
    return project


def _invalid(field: str) -> Invalid:
    return Invalid(fields={field: [f"The {field} field must be a project of the organization."]})


def _granted(scopes: Iterable[str], identity: Identity) -> tuple[str, ...]:
    """The scopes with those they imply; `client` if none is given.

    Raises Invalid for an unknown scope, and for `global` unless the identity has it.
    """
    asked = [scope.strip().lower() for scope in scopes]
    granted = with_implied(asked)
    if not GRANTABLE.issuperset(asked) or (GLOBAL in granted and not identity.is_global):
        raise Invalid(fields={"scopes": ["Invalid token scope requested."]})
    return granted or (CLIENT,)


def _expiry_in_utc(expiry: datetime | None) -> datetime | None:
    if expiry is None:
        return None
    with suppress(OverflowError):
        expiry = expiry.replace(tzinfo=expiry.tzinfo or UTC).astimezone(UTC)
        if _EARLIEST_EXPIRY <= expiry < _LATEST_EXPIRY:
            return expiry
    raise Invalid(fields={"expires_utc": [f"The expires_utc field must be {_AN_EXPIRY}."]})


ROUTES: Final = (
    Route("GET", "/organizations/{organizationId:objectid}/tokens", get_tokens_of_organization, Role.PERSON),
    Route("GET", "/projects/{projectId:objectid}/tokens", get_tokens_of_project, Role.PERSON),
    Route("GET", "/tokens/{id:token}", get_token, Role.PERSON),
    Route("PATCH", "/tokens/{id:token}", patch_token, Role.PERSON),
    Route("PUT", "/tokens/{id:token}", patch_token, Role.PERSON),
    Route("DELETE", "/tokens/{ids:tokens}", delete_tokens, Role.PERSON),
    Route("POST", "/tokens", post_token, Role.PERSON),
    Route("POST", "/organizations/{organizationId:objectid}/tokens", post_token_of_organization, Role.PERSON),
    Route("POST", "/projects/{projectId:objectid}/tokens", post_token_of_project, Role.PERSON),
    Route("GET", "/projects/{projectId:objectid}/tokens/default", get_default_token, Role.PERSON),
)

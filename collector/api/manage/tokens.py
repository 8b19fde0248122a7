"""Listing, reading, changing and revoking access tokens (contract 2; needs a login)."""

from dataclasses import replace
from typing import Annotated, Final
from uuid import UUID

import asyncpg
import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, UnsetType

from collector.api.auth.authentication import IDENTITY, Identity
from collector.api.core.deletion import DELETED, BulkResult, asked_ids, bulk_response
from collector.api.core.projection_updates import publish_tokens, revoke_at_ingest
from collector.api.core.route import Role, Route
from collector.api.core.service import API, Api
from collector.api.manage.projects import reachable_project
from collector.api.manage.token_view import TokenView, token_view
from collector.api.request.lists import LIST_HEADERS, list_response
from collector.api.request.parameters import paging, query_parameters, requested_page
from collector.api.request.request_body import read_body
from collector.database.owners.tokens import (
    ACCESS,
    Token,
    change_token,
    count_tokens,
    find_tokens,
    list_tokens,
    lock_token,
)
from collector.database.owners.tokens import delete_tokens as delete_from_database
from collector.database.pool import connected
from collector.domain.access.token import LOOKUP_LENGTH, lookup_prefix, token_digest
from collector.domain.errors import BadRequest, NotFound
from collector.domain.ids import parse_uuid
from collector.http.operation import Answer, documented, json_body
from collector.http.responses import json_response

_MAXIMUM_LIMIT: Final = 100
_NO_TOKEN: Final = "There is no such token."  # noqa: S105 - a sentence
_NOT_YOURS: Final = "Only tokens of your own can be deleted."

_LISTED: Final = {200: Answer(list[TokenView], headers=LIST_HEADERS)}

Notes = Annotated[str, Meta(max_length=1000, description="a text of at most 1000 characters")]


class TokenChange(msgspec.Struct, frozen=True, kw_only=True):
    """The members of a token that can be changed; those left out stay as they are."""

    is_disabled: bool | UnsetType = UNSET
    notes: Notes | UnsetType | None = UNSET


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
    async with connected(api.pool) as connection:
        found = {token.id: token for token in await find_tokens(connection, map(lookup_prefix, asked))}
        result = _revocable(asked, found, identity)
        revoked = sorted({lookup_prefix(text) for text in result.success})
        await delete_from_database(connection, revoked)
    # Unknown tokens, too: repeating the request after a 503 publishes what the first attempt could not.
    absent = [lookup_prefix(text) for text in asked if lookup_prefix(text) not in found]
    await revoke_at_ingest(api, [*revoked, *absent])
    return bulk_response(result)


async def _list(request: web.Request, owner: UUID | None) -> web.Response:
    page = requested_page(query_parameters(request), maximum=_MAXIMUM_LIMIT)
    total, found = 0, list[Token]()
    if owner is not None:
        async with connected(request.app[API].pool) as connection:
            total = await count_tokens(connection, owner)
            if not page.is_too_deep:
                found = await list_tokens(connection, owner, limit=page.limit, offset=page.offset)
    following = page.after(len(found)) if found and page.offset + len(found) < total else None
    return list_response(request, [token_view(token) for token in found], page, following, total)


async def apply_change(api: Api, identity: Identity, text: str, change: TokenChange) -> Token:
    """Change the token that `text` names and publish it to ingest; returns its new state."""
    async with connected(api.pool) as connection, connection.transaction():
        await lock_token(connection, lookup_prefix(text))
        found = await reachable_token(connection, identity, text)
        token = _changed(found, change)
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


def _revocable(asked: list[str], found: dict[str, Token], identity: Identity) -> BulkResult:
    result = BulkResult()
    for text in asked:
        token = found.get(lookup_prefix(text))
        if token is None or not _exists_for(identity, token, text):
            result.add_not_found(text, _NO_TOKEN)
        elif not _may_manage(identity, token):
            result.add_denied(text, _NOT_YOURS)
        else:
            result.success.append(text)
    return result


def _exists_for(identity: Identity, token: Token, text: str) -> bool:
    """Whether `text` is the token's public part or its full text; login tokens are not a resource."""
    is_named = len(text) == LOOKUP_LENGTH or token.digest == token_digest(text)
    return is_named and token.kind == ACCESS and identity.reaches(token.organization_id)


def _may_manage(identity: Identity, token: Token) -> bool:
    """A token that belongs to a person can be managed only by that person."""
    return token.user_id in {None, identity.user_id} or identity.is_global


def _changed(token: Token, change: TokenChange) -> Token:
    return replace(
        token,
        is_disabled=token.is_disabled if change.is_disabled is UNSET else change.is_disabled,
        notes=token.notes if change.notes is UNSET else change.notes,
    )


ROUTES: Final = (
    Route("GET", "/organizations/{organizationId:objectid}/tokens", get_tokens_of_organization, Role.PERSON),
    Route("GET", "/projects/{projectId:objectid}/tokens", get_tokens_of_project, Role.PERSON),
    Route("GET", "/tokens/{id:token}", get_token, Role.PERSON),
    Route("PATCH", "/tokens/{id:token}", patch_token, Role.PERSON),
    Route("PUT", "/tokens/{id:token}", patch_token, Role.PERSON),
    Route("DELETE", "/tokens/{ids:tokens}", delete_tokens, Role.PERSON),
)

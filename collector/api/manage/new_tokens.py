"""Creating access tokens, for a project or a whole organization (contract 2; needs a login)."""

from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, Final, NamedTuple

import asyncpg
import msgspec
from aiohttp import hdrs, web
from msgspec import Meta

from collector.api.auth.authentication import IDENTITY, Identity
from collector.api.core.absolute_urls import absolute_url
from collector.api.core.projection_updates import publish_new_token
from collector.api.core.route import Role, Route
from collector.api.core.service import API, Api
from collector.api.manage.organizations import named_organization
from collector.api.manage.projects import named_project, reachable_project
from collector.api.manage.token_view import TokenView, token_view
from collector.api.manage.tokens import Notes
from collector.api.request.request_body import EXAMPLE_ID, ObjectId, read_body
from collector.database.owners.projects import Project
from collector.database.owners.tokens import Token, access_token, add_token, find_client_token
from collector.database.pool import connected
from collector.database.row_lock import RowLock
from collector.domain.access.scope import CLIENT, GLOBAL, GRANTABLE, with_implied
from collector.domain.access.token import new_token
from collector.domain.errors import BadRequest, Invalid
from collector.http.operation import Answer, documented, json_body
from collector.http.responses import json_response

_EARLIEST_EXPIRY: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST_EXPIRY: Final = datetime.max.replace(tzinfo=UTC)
"""The driver stores this value as `infinity`."""
_AN_EXPIRY: Final = "a time in the years 1970 to 9999, such as 2030-01-31T12:00:00Z"

Expiry = Annotated[datetime, Meta(description=_AN_EXPIRY)]


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


_MADE: Final = {
    201: Answer(
        TokenView, "Created; `id` is the full token and is shown only this once.", headers=("Location",)
    )
}
_EXAMPLE: Final = {"scopes": ["user"], "notes": "my first token"}


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
    Route("POST", "/tokens", post_token, Role.PERSON),
    Route("POST", "/organizations/{organizationId:objectid}/tokens", post_token_of_organization, Role.PERSON),
    Route("POST", "/projects/{projectId:objectid}/tokens", post_token_of_project, Role.PERSON),
    Route("GET", "/projects/{projectId:objectid}/tokens/default", get_default_token, Role.PERSON),
)

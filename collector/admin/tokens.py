"""Tokens of programs, for operators: made, or brought along because applications have them already."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import asyncpg

from collector.admin.naming import meant_organization, meant_project
from collector.admin.system import OPERATOR
from collector.api.core.projection_updates import publish_new_token, revoke_at_ingest
from collector.api.core.service import Api
from collector.api.manage.token_view import TokenView, token_view
from collector.api.manage.tokens import (
    Made,
    NewToken,
    TokenChange,
    apply_change,
    make_token,
    make_token_for_project,
    reachable_token,
)
from collector.api.request.request_body import converted
from collector.database.owners.tokens import all_access_tokens, delete_tokens, find_tokens, list_tokens
from collector.database.pool import connected
from collector.database.row_lock import RowLock
from collector.domain.access.scope import CLIENT
from collector.domain.access.token import imported_token_error, lookup_prefix
from collector.domain.errors import Conflict, Invalid

_AT_MOST: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a token is to be: of a project, or of a whole organization."""

    project: str | None = None
    organization: str | None = None
    scopes: tuple[str, ...] = ()
    notes: str | None = None
    expires_utc: datetime | None = None
    value: str | None = None
    """The whole token, where there is one already."""


async def create(api: Api, wanted: Wanted) -> TokenView:
    """A new token that ingest know; its `id` is the whole, this once."""
    members: dict[str, Any] = {"scopes": list(wanted.scopes), "notes": wanted.notes}
    asked = converted({**members, "expires_utc": wanted.expires_utc}, NewToken)
    if wanted.value is not None:
        _check_value(wanted.value, wanted.scopes)
    async with connected(api.pool) as connection, connection.transaction():
        if wanted.value is not None and await find_tokens(connection, [lookup_prefix(wanted.value)]):
            raise _taken()
        try:
            made = await _make(api, connection, wanted, asked)
        except asyncpg.UniqueViolationError as error:  # somebody else brought it just now
            raise _taken() from error
    await publish_new_token(api, made.token.id)
    return token_view(made.token, made.secret)


async def list_all(api: Api, project: str | None = None, organization: str | None = None) -> list[TokenView]:
    """Every token of programs, or those of one project or organization, the oldest first."""
    async with connected(api.pool) as connection:
        if project is not None:
            owner = (await meant_project(connection, project)).id
        elif organization is not None:
            owner = (await meant_organization(connection, organization)).id
        else:
            return [token_view(token) for token in await all_access_tokens(connection)]
        found = await list_tokens(connection, owner, limit=_AT_MOST, offset=0)
        return [token_view(token) for token in found]


async def show(api: Api, name: str) -> TokenView:
    """One of them."""
    async with connected(api.pool) as connection:
        return token_view(await reachable_token(connection, OPERATOR, name))


async def change(api: Api, name: str, *, is_disabled: bool) -> TokenView:
    """Refuse a token from now on, or take it again."""
    return token_view(await apply_change(api, OPERATOR, name, TokenChange(is_disabled=is_disabled)))


async def delete(api: Api, name: str) -> TokenView:
    """Revoke a token for ever."""
    async with connected(api.pool) as connection:
        token = await reachable_token(connection, OPERATOR, name)
        await delete_tokens(connection, [token.id])
    await revoke_at_ingest(api, [token.id])
    return token_view(token)


async def _make(api: Api, connection: asyncpg.Connection, wanted: Wanted, asked: NewToken) -> Made:
    if wanted.project is not None:
        project = await meant_project(connection, wanted.project, RowLock.KEEP)
        return await make_token_for_project(api, connection, OPERATOR, asked, project, wanted.value)
    owner = await meant_organization(connection, wanted.organization or "", RowLock.KEEP)
    owned = {"organization_id": owner.id, "is_suspended": owner.is_suspended}
    return await make_token(api, connection, OPERATOR, asked, wanted.value, **owned)


def _check_value(value: str, scopes: tuple[str, ...]) -> None:
    """Only tokens that may only post are no secrets: no other one is brought, or written into a command."""
    if set(scopes) - {CLIENT}:
        raise Invalid(fields={"value": ["Only a token with the scope `client` can be brought along."]})
    if fault := imported_token_error(value):
        raise Invalid(fields={"value": [fault]})


def _taken() -> Conflict:
    return Conflict("There is a token with the same first 24 characters already.")

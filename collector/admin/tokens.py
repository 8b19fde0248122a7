"""The operators' commands for access tokens: created, or imported because applications already have them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import asyncpg

from collector.admin.naming import resolve_organization, resolve_project
from collector.admin.system import OPERATOR
from collector.api.core.projection_updates import publish_new_token, revoke_at_ingest
from collector.api.core.service import Api
from collector.api.manage.token_view import TokenView, token_view
from collector.api.manage.tokens import (
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
class TokenOptions:
    """The token to create, for one project or for a whole organization."""

    project: str | None = None
    organization: str | None = None
    scopes: tuple[str, ...] = ()
    notes: str | None = None
    expires_utc: datetime | None = None
    value: str | None = None
    """The whole token, if it is imported."""


async def create(api: Api, wanted: TokenOptions) -> TokenView:
    """Create or import a token and publish it to ingest; only here is `id` the whole token."""
    members: dict[str, Any] = {"scopes": list(wanted.scopes), "notes": wanted.notes}
    asked = converted({**members, "expires_utc": wanted.expires_utc}, NewToken)
    # Only client tokens are imported: the others are secrets, which a command line exposes.
    if wanted.value is not None:
        if set(wanted.scopes) - {CLIENT}:
            raise Invalid(fields={"value": ["Only a token with the scope `client` can be imported."]})
        if fault := imported_token_error(wanted.value):
            raise Invalid(fields={"value": [fault]})
    async with connected(api.pool) as connection, connection.transaction():
        if wanted.value is not None and await find_tokens(connection, [lookup_prefix(wanted.value)]):
            raise _taken()
        try:
            # For one project, or else for the whole organization.
            if wanted.project is not None:
                project = await resolve_project(connection, wanted.project, RowLock.KEEP)
                made = await make_token_for_project(api, connection, OPERATOR, asked, project, wanted.value)
            else:
                owner = await resolve_organization(connection, wanted.organization or "", RowLock.KEEP)
                owned = {"organization_id": owner.id, "is_suspended": owner.is_suspended}
                made = await make_token(api, connection, OPERATOR, asked, wanted.value, **owned)
        except asyncpg.UniqueViolationError as error:  # imported concurrently
            raise _taken() from error
    await publish_new_token(api, made.token.id)
    return token_view(made.token, made.secret)


async def list_all(api: Api, project: str | None = None, organization: str | None = None) -> list[TokenView]:
    """All access tokens, or those of one project or organization, oldest first."""
    async with connected(api.pool) as connection:
        if project is not None:
            owner = (await resolve_project(connection, project)).id
        elif organization is not None:
            owner = (await resolve_organization(connection, organization)).id
        else:
            return [token_view(token) for token in await all_access_tokens(connection)]
        found = await list_tokens(connection, owner, limit=_AT_MOST, offset=0)
        return [token_view(token) for token in found]


async def show(api: Api, name: str) -> TokenView:
    """One token, by its public part."""
    async with connected(api.pool) as connection:
        return token_view(await reachable_token(connection, OPERATOR, name))


async def change(api: Api, name: str, *, is_disabled: bool) -> TokenView:
    """Disable a token, or enable it again."""
    return token_view(await apply_change(api, OPERATOR, name, TokenChange(is_disabled=is_disabled)))


async def delete(api: Api, name: str) -> TokenView:
    """Revoke a token permanently."""
    async with connected(api.pool) as connection:
        token = await reachable_token(connection, OPERATOR, name)
        await delete_tokens(connection, [token.id])
    await revoke_at_ingest(api, [token.id])
    return token_view(token)


def _taken() -> Conflict:
    return Conflict("A token with the same first 24 characters already exists.")

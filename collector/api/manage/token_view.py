"""A token as answers show it.

A secret is shown once, in the answer that creates it. Tokens with only the scope `client` are embedded in
apps and web pages and are not secret: their `id` is always the full token.
"""

from datetime import datetime
from uuid import UUID

import msgspec

from collector.database.owners.tokens import Token


class TokenView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An access token; null members are left out."""

    id: str
    organization_id: str | None = None
    project_id: str | None = None
    user_id: str | None = None
    default_project_id: str | None = None
    scopes: tuple[str, ...]
    expires_utc: datetime | None = None
    notes: str | None = None
    is_disabled: bool
    is_suspended: bool
    created_utc: datetime
    updated_utc: datetime


def token_view(token: Token, secret: str | None = None) -> TokenView:
    """The token as answers show it, with its full secret if it has just been created."""
    return TokenView(
        id=secret or token.clear_text or token.id,
        organization_id=_hex(token.organization_id),
        project_id=_hex(token.project_id),
        user_id=_hex(token.user_id),
        default_project_id=_hex(token.default_project_id),
        scopes=token.scopes,
        expires_utc=token.expires_utc,
        notes=token.notes,
        is_disabled=token.is_disabled,
        is_suspended=token.is_suspended,
        created_utc=token.created_utc,
        updated_utc=token.updated_utc,
    )


def _hex(value: UUID | None) -> str | None:
    return None if value is None else value.hex

"""Tokens, stored as their first 24 characters and the SHA-256 of the whole."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID

import asyncpg

from collector.database.text import storable
from collector.domain.access.scope import CLIENT
from collector.domain.access.token import TokenEntry, lookup_prefix, token_digest

ACCESS: Final = "access"
LOGIN: Final = "login"
LOGIN_VALID: Final = timedelta(days=90)
LOGINS_AT_MOST: Final = 1000
"""Of one user. A program that logs in before each request must not fill the table."""

_LONGEST_USER_AGENT: Final = 300


@dataclass(frozen=True, slots=True)
class Token:
    """A row of `tokens`. `id` is the public part; `clear_text` the whole, of tokens that may only post.

    The `notes` of a login are the user agent that logged in.
    """

    id: str
    digest: bytes
    kind: Literal["access", "login"]
    scopes: tuple[str, ...]
    created_utc: datetime
    updated_utc: datetime
    organization_id: UUID | None = None
    project_id: UUID | None = None
    default_project_id: UUID | None = None
    user_id: UUID | None = None
    expires_utc: datetime | None = None
    notes: str | None = None
    is_disabled: bool = False
    clear_text: str | None = None
    is_suspended: bool = False
    """Whether its organization is suspended; not a column of the token."""


@dataclass(frozen=True, slots=True)
class Access:
    """What an enabled token gives access to; `user_id` is the user it belongs to, if any."""

    entry: TokenEntry
    user_id: UUID | None
    is_suspended: bool


def access_token(secret: str, scopes: tuple[str, ...], now: datetime, **members: Any) -> Token:
    """A token for programs, from its whole text; `members` are other fields of `Token`."""
    return Token(
        id=lookup_prefix(secret),
        digest=token_digest(secret),
        kind="access",
        scopes=scopes,
        created_utc=now,
        updated_utc=now,
        clear_text=secret if scopes == (CLIENT,) else None,
        **members,
    )


def login_token(secret: str, user_id: UUID, now: datetime, user_agent: str | None = None) -> Token:
    """A token for a user who has logged in; its scopes are the user's roles at the time of use."""
    return Token(
        id=lookup_prefix(secret),
        digest=token_digest(secret),
        kind="login",
        scopes=(),
        created_utc=now,
        updated_utc=now,
        user_id=user_id,
        expires_utc=now + LOGIN_VALID,
        notes=user_agent and user_agent[:_LONGEST_USER_AGENT],
    )


_COLUMNS: Final = (
    "id, digest, kind, scopes, created_utc, updated_utc, organization_id, project_id, "
    "default_project_id, user_id, expires_utc, notes, is_disabled, clear_text"
)

_SELECT: Final = f"""
    SELECT {", ".join(f"t.{column}" for column in _COLUMNS.split(", "))},
           coalesce(o.is_suspended, false) AS is_suspended
    FROM tokens t LEFT JOIN organizations o ON o.id = t.organization_id
"""  # noqa: S608 - constants only
_OWNED: Final = "t.kind = 'access' AND (t.project_id = $1 OR t.organization_id = $1)"

# A user's token gives access to the user's organizations and, if it has no scopes itself, takes the user's
# roles.
_ACCESS: Final = """
    SELECT t.id, t.digest, t.kind, t.project_id, t.default_project_id, t.expires_utc, t.user_id,
           CASE WHEN t.user_id IS NULL OR cardinality(t.scopes) > 0 THEN t.scopes ELSE u.roles END AS scopes,
           CASE WHEN t.user_id IS NULL THEN array_remove(ARRAY[t.organization_id], NULL)
                ELSE ARRAY(SELECT m.organization_id FROM organization_members m
                           WHERE m.user_id = t.user_id ORDER BY 1) END AS organization_ids,
           t.kind = 'access' AND coalesce(o.is_suspended, false) AS is_suspended
    FROM tokens t LEFT JOIN users u ON u.id = t.user_id LEFT JOIN organizations o ON o.id = t.organization_id
    WHERE NOT t.is_disabled AND coalesce(u.is_active, true)
"""


async def find_access(connection: asyncpg.Connection, lookup: str) -> Access | None:
    """The enabled token with this public part, unless its user is inactive; it may have expired."""
    row = await connection.fetchrow(f"{_ACCESS} AND t.id = $1", storable(lookup))
    return None if row is None else Access(_entry(row), row["user_id"], row["is_suspended"])


@asynccontextmanager
async def newest_access(connection: asyncpg.Connection, lookup: str) -> AsyncIterator[Access | None]:
    """What the token gives access to now; the row is locked inside the block."""
    async with connection.transaction():
        await lock_token(connection, storable(lookup))
        yield await find_access(connection, lookup)


async def all_entries(connection: asyncpg.Connection) -> dict[str, TokenEntry]:
    """Every enabled, unexpired token by its public part, for the projection."""
    rows = await connection.fetch(f"{_ACCESS} AND (t.expires_utc IS NULL OR t.expires_utc > now())")
    return {row["id"]: _entry(row) for row in rows}


async def count_tokens_of(connection: asyncpg.Connection, token: Token) -> int:
    """The number of access tokens of the token's owner: its project, else its organization, else its user."""
    column = "project_id" if token.project_id else "organization_id" if token.organization_id else "user_id"
    number: int = await connection.fetchval(
        f"SELECT count(*) FROM tokens WHERE kind = '{ACCESS}' AND {column} = $1",  # noqa: S608 - our names
        token.project_id or token.organization_id or token.user_id,
    )
    return number


async def add_token(connection: asyncpg.Connection, token: Token) -> None:
    """Insert a token."""
    await connection.execute(
        f"INSERT INTO tokens ({_COLUMNS}) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14)",  # noqa: S608
        token.id,
        token.digest,
        token.kind,
        list(token.scopes),
        token.created_utc,
        token.updated_utc,
        token.organization_id,
        token.project_id,
        token.default_project_id,
        token.user_id,
        token.expires_utc,
        None if token.notes is None else storable(token.notes),
        token.is_disabled,
        token.clear_text,
    )


async def find_tokens(connection: asyncpg.Connection, lookups: Iterable[str]) -> list[Token]:
    """The tokens with these public parts, also expired and disabled ones, of any owner."""
    rows = await connection.fetch(f"{_SELECT} WHERE t.id = ANY($1) ORDER BY t.id", list(lookups))
    return [_token(row) for row in rows]


async def list_tokens(connection: asyncpg.Connection, owner: UUID, *, limit: int, offset: int) -> list[Token]:
    """One page of the access tokens of a project or of a whole organization, oldest first."""
    rows = await connection.fetch(
        f"{_SELECT} WHERE {_OWNED} ORDER BY t.created_utc, t.id LIMIT $2 OFFSET $3", owner, limit, offset
    )
    return [_token(row) for row in rows]


async def all_access_tokens(connection: asyncpg.Connection) -> list[Token]:
    """Every access token, oldest first."""
    rows = await connection.fetch(f"{_SELECT} WHERE t.kind = 'access' ORDER BY t.created_utc, t.id")
    return [_token(row) for row in rows]


async def count_tokens(connection: asyncpg.Connection, owner: UUID) -> int:
    """How many access tokens the project or organization has."""
    number: int = await connection.fetchval(f"SELECT count(*) FROM tokens t WHERE {_OWNED}", owner)  # noqa: S608
    return number


async def lock_token(connection: asyncpg.Connection, lookup: str) -> None:
    """Lock the token, if it exists, against changes and deletion until the transaction ends."""
    await connection.execute("SELECT FROM tokens WHERE id = $1 FOR NO KEY UPDATE", lookup)


async def change_token(connection: asyncpg.Connection, token: Token) -> None:
    """Update the columns of a token that people can change."""
    await connection.execute(
        "UPDATE tokens SET is_disabled = $2, notes = $3, updated_utc = $4 WHERE id = $1",
        token.id,
        token.is_disabled,
        None if token.notes is None else storable(token.notes),
        token.updated_utc,
    )


async def delete_tokens(connection: asyncpg.Connection, lookups: Iterable[str]) -> None:
    """Revoke tokens; does nothing for those that do not exist."""
    await connection.execute("DELETE FROM tokens WHERE id = ANY($1)", list(lookups))


async def delete_tokens_of_user(connection: asyncpg.Connection, user_id: UUID) -> list[str]:
    """Revoke all tokens of a user, and codes that would log in; returns the tokens' public parts."""
    await connection.execute("DELETE FROM login_codes WHERE user_id = $1", user_id)
    rows = await connection.fetch("DELETE FROM tokens WHERE user_id = $1 RETURNING id", user_id)
    return [row["id"] for row in rows]


async def tokens_of_users(connection: asyncpg.Connection, user_ids: Sequence[UUID]) -> list[str]:
    """The public parts of all tokens of these users."""
    rows = await connection.fetch("SELECT id FROM tokens WHERE user_id = ANY($1) ORDER BY id", user_ids)
    return [row["id"] for row in rows]


async def delete_old_logins(connection: asyncpg.Connection, user_id: UUID, now: datetime) -> list[str]:
    """Make room for a login: delete a user's expired ones, and the oldest beyond `LOGINS_AT_MOST`.

    Returns the public parts.
    """
    rows = await connection.fetch(
        """
        DELETE FROM tokens WHERE user_id = $1 AND kind = 'login' AND (expires_utc < $2 OR id IN (
            SELECT id FROM tokens WHERE user_id = $1 AND kind = 'login'
            ORDER BY created_utc DESC, id OFFSET $3
        )) RETURNING id
        """,
        user_id,
        now,
        LOGINS_AT_MOST - 1,
    )
    return [row["id"] for row in rows]


async def list_logins(
    connection: asyncpg.Connection, user_id: UUID, now: datetime, limit: int
) -> list[Token]:
    """The logins of a user that have not expired, newest first."""
    rows = await connection.fetch(
        f"{_SELECT} WHERE t.user_id = $1 AND t.kind = 'login' AND t.expires_utc > $2"
        " ORDER BY t.created_utc DESC, t.id LIMIT $3",
        user_id,
        now,
        limit,
    )
    return [_token(row) for row in rows]


async def delete_login(connection: asyncpg.Connection, user_id: UUID, lookup: str) -> bool:
    """End one login of a user; False if they have no such login."""
    return bool(
        await connection.fetchval(
            "DELETE FROM tokens WHERE user_id = $1 AND kind = 'login' AND id = $2 RETURNING true",
            user_id,
            lookup,
        )
    )


async def delete_other_logins(connection: asyncpg.Connection, user_id: UUID, kept: str | None) -> list[str]:
    """End all logins of a user but one, and codes that would log in; returns the tokens' public parts."""
    await connection.execute("DELETE FROM login_codes WHERE user_id = $1", user_id)
    rows = await connection.fetch(
        "DELETE FROM tokens WHERE user_id = $1 AND kind = 'login' AND id IS DISTINCT FROM $2 RETURNING id",
        user_id,
        kept,
    )
    return [row["id"] for row in rows]


async def extend_login(connection: asyncpg.Connection, lookup: str, expires_utc: datetime) -> None:
    """Set when a login token expires."""
    await connection.execute(
        "UPDATE tokens SET expires_utc = $2 WHERE id = $1 AND kind = 'login'", lookup, expires_utc
    )


async def find_client_token(connection: asyncpg.Connection, project_id: UUID, now: datetime) -> Token | None:
    """The project's oldest enabled, unexpired token that may only post."""
    row = await connection.fetchrow(
        f"{_SELECT} WHERE t.project_id = $1 AND t.clear_text IS NOT NULL AND NOT t.is_disabled"
        " AND (t.expires_utc IS NULL OR t.expires_utc > $2) ORDER BY t.created_utc, t.id LIMIT 1",
        project_id,
        now,
    )
    return None if row is None else _token(row)


def _token(row: Any) -> Token:
    return Token(**{**row, "scopes": tuple(row["scopes"])})


def _entry(row: Any) -> TokenEntry:
    project, default, expires = row["project_id"], row["default_project_id"], row["expires_utc"]
    user = row["user_id"]
    return TokenEntry(
        digest=row["digest"],
        scopes=tuple(row["scopes"]),
        organization_ids=tuple(organization.bytes for organization in row["organization_ids"]),
        project_id=None if project is None else project.bytes,
        default_project_id=None if default is None else default.bytes,
        expires_ms=None if expires is None else int(expires.timestamp() * 1000),
        is_login=row["kind"] == LOGIN,
        user_id=None if user is None else user.bytes,
    )

"""Tokens: how they are generated, looked up and verified without storing the secret.

A generated token is 40 characters of `[a-zA-Z0-9]`. The first 24 characters are the public lookup prefix;
only the SHA-256 digest of the whole token is stored, and digests are compared in constant time.
"""

import hashlib
import hmac
import re
import secrets
import string
from dataclasses import dataclass
from typing import Final

import msgspec

from collector.domain.access.scope import effective

LOOKUP_LENGTH: Final = 24
TOKEN_LENGTH: Final = 40
MINIMUM_LENGTH: Final = 10
"""The official clients refuse to send events with a shorter key."""
MAXIMUM_LENGTH: Final = 100

_ALPHABET: Final = string.ascii_letters + string.digits
_IMPORTED: Final = re.compile(rf"[a-zA-Z0-9-]{{{LOOKUP_LENGTH},{TOKEN_LENGTH}}}")
_MINIMUM_DISTINCT: Final = 8
"""Among 24 random hexadecimal digits, fewer than 8 are distinct about once in 30,000 times."""


@dataclass(frozen=True, slots=True)
class PresentedToken:
    """A token that a request carried: its lookup prefix, and the digest of the whole token (32 bytes)."""

    lookup: str
    digest: bytes


class TokenEntry(msgspec.Struct, frozen=True, array_like=True):
    """What ingest needs to know about an enabled token. Ids are 16 bytes, `expires_ms` is Unix time.

    `user_id` is the user that the token belongs to, if any. `is_login` marks a login token (or another user
    identity): its organizations are the user's, and it is not bound to a project.
    """

    digest: bytes
    scopes: tuple[str, ...]
    organization_ids: tuple[bytes, ...]
    project_id: bytes | None = None
    default_project_id: bytes | None = None
    expires_ms: int | None = None
    is_login: bool = False
    user_id: bytes | None = None

    def matches(self, presented: PresentedToken) -> bool:
        """Whether this is the presented token, compared in constant time."""
        return hmac.compare_digest(self.digest, presented.digest)

    def is_expired(self, now_ms: int) -> bool:
        """Whether the token has expired."""
        return self.expires_ms is not None and self.expires_ms < now_ms

    def allows(self, scope: str) -> bool:
        """Whether the token's scopes grant or imply `scope`."""
        return scope in effective(self.scopes)


def new_token() -> str:
    """A random token of 40 characters."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(TOKEN_LENGTH))


def imported_token_error(text: str) -> str | None:
    """Why a token generated elsewhere is rejected, as a sentence; None if it is acceptable."""
    if _IMPORTED.fullmatch(text) is None:
        return f"It must be {LOOKUP_LENGTH} to {TOKEN_LENGTH} letters, digits and hyphens."
    if len(set(text)) < _MINIMUM_DISTINCT:
        return "It is too easy to guess: it has too few different characters."
    return None


def lookup_prefix(text: str) -> str:
    """The first 24 characters of a token, which are public."""
    return text[:LOOKUP_LENGTH]


def token_digest(text: str) -> bytes:
    """The SHA-256 digest of a whole token. Its 95 secret random bits make a slow hash unnecessary."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def present(text: str) -> PresentedToken | None:
    """Prepare a request's token for look-up; None if its length rules out every token."""
    if not MINIMUM_LENGTH <= len(text) <= MAXIMUM_LENGTH:
        return None
    return PresentedToken(lookup_prefix(text), token_digest(text))

"""Tokens: made, presented and recognised without their secret being kept.

A token is 40 characters of `[a-zA-Z0-9]`. Any token is looked up by its first 24 characters; stores keep the
SHA-256 of the whole, and whoever compares does so in constant time.
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
"""The official clients send nothing with a shorter key."""
MAXIMUM_LENGTH: Final = 100

_ALPHABET: Final = string.ascii_letters + string.digits
_BROUGHT: Final = re.compile(rf"[a-zA-Z0-9-]{{{LOOKUP_LENGTH},{TOKEN_LENGTH}}}")
_FEWEST_CHARACTERS: Final = 8
"""Of 24 random hexadecimal digits fewer differ once in some 30,000 times."""


@dataclass(frozen=True, slots=True)
class PresentedToken:
    """A token as a request carried it: the public part to look up, and the digest of the whole (32 bytes)."""

    lookup: str
    digest: bytes


class TokenEntry(msgspec.Struct, frozen=True, array_like=True):
    """What ingest must know of an enabled token. Ids are 16 bytes, `expires_ms` is Unix time.

    `user_id` is the person behind the token, if there is one;
    `is_login` marks a login token (or another user identity): its organizations are the user's and it has no
    project of its own.
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
        """Whether this is the presented token; takes the same time for every wrong one."""
        return hmac.compare_digest(self.digest, presented.digest)

    def is_expired(self, now_ms: int) -> bool:
        """Whether its expiry has passed."""
        return self.expires_ms is not None and self.expires_ms < now_ms

    def allows(self, scope: str) -> bool:
        """Whether its scopes, or what they imply, contain `scope`."""
        return scope in effective(self.scopes)


def new_token() -> str:
    """A random token of 40 characters."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(TOKEN_LENGTH))


def imported_token_error(text: str) -> str | None:
    """What is wrong with a token that was made elsewhere, as a sentence; None for one that will do."""
    if _BROUGHT.fullmatch(text) is None:
        return f"It must be {LOOKUP_LENGTH} to {TOKEN_LENGTH} letters, digits and hyphens."
    if len(set(text)) < _FEWEST_CHARACTERS:
        return "It is too easy to guess: it is made of very few different characters."
    return None


def lookup_prefix(text: str) -> str:
    """The public part of a token."""
    return text[:LOOKUP_LENGTH]


def token_digest(text: str) -> bytes:
    """The SHA-256 of a whole token; its 95 secret random bits need no slow hash."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def present(text: str) -> PresentedToken | None:
    """What a request's token is looked up and compared with; None when no token can look like that."""
    if not MINIMUM_LENGTH <= len(text) <= MAXIMUM_LENGTH:
        return None
    return PresentedToken(lookup_prefix(text), token_digest(text))

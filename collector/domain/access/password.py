"""Passwords: argon2id, and the same time for whoever has none."""

from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

MINIMUM_LENGTH: Final = 6
MAXIMUM_LENGTH: Final = 100

_hasher = PasswordHasher()
_NOBODY: Final = (
    "$argon2id$v=19$m=65536,t=3,p=4$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
)
"""A hash of the same cost that no password has."""


def hash_password(password: str) -> str:
    """A salted hash to keep. Takes a tenth of a second and 64 MiB: not for an event loop."""
    return _hasher.hash(password)


def is_password(password_hash: str | None, password: str) -> bool:
    """Whether the password has that hash; as slow without a hash, so that time tells nobody who exists."""
    try:
        return _hasher.verify(password_hash or _NOBODY, password)
    except (VerificationError, InvalidHashError, UnicodeEncodeError):
        return False

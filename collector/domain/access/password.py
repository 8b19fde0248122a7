"""Password hashes (argon2id), verified in the same time whether or not the user has a password."""

from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

MINIMUM_LENGTH: Final = 6
MAXIMUM_LENGTH: Final = 100

_hasher = PasswordHasher()
_DUMMY_HASH: Final = (
    "$argon2id$v=19$m=65536,t=3,p=4$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
)
"""A hash of the same cost that no password matches."""


def hash_password(password: str) -> str:
    """A salted hash. Takes 0.1 seconds and 64 MiB: never call it on the event loop."""
    return _hasher.hash(password)


def is_password(password_hash: str | None, password: str) -> bool:
    """Whether the password matches the hash; as slow without a hash, so timing does not reveal users."""
    try:
        return _hasher.verify(password_hash or _DUMMY_HASH, password)
    except (VerificationError, InvalidHashError, UnicodeEncodeError):
        return False

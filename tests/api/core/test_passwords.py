"""Passwords are checked off the event loop."""

from collector.api.core.passwords import open_passwords
from collector.domain.access.password import hash_password


async def test_a_password_is_checked_against_its_hash() -> None:
    """Without a hash, no password matches."""
    password_hash = hash_password("correct horse")

    with open_passwords() as passwords:
        assert await passwords.matches(password_hash, "correct horse")
        assert not await passwords.matches(password_hash, "wrong horse")
        assert not await passwords.matches(None, "correct horse")
        assert await passwords.matches(await passwords.hashed("new horse"), "new horse")

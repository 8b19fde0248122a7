"""Passwords are kept as argon2 hashes."""

import pytest

from collector.domain.access.password import hash_password, is_password


def test_the_right_password_is_recognised_and_no_other() -> None:
    """Each hash has a salt of its own."""
    password_hash = hash_password("correct horse")

    assert password_hash.startswith("$argon2id$")
    assert password_hash != hash_password("correct horse")
    assert is_password(password_hash, "correct horse")
    assert not is_password(password_hash, "correct horse ")


@pytest.mark.parametrize(
    ("password_hash", "password"),
    [
        pytest.param(None, "anything", id="nobody has it"),
        pytest.param("garbage", "anything", id="a hash that is none"),
        pytest.param("", "", id="nothing at all"),
        pytest.param(None, "\ud800", id="a password that is no text"),
    ],
)
def test_what_is_no_hash_or_no_text_matches_nothing(password_hash: str | None, password: str) -> None:
    """And raises nothing."""
    assert not is_password(password_hash, password)

import pytest

from collector.domain.access.password import hash_password, is_password


def test_a_salted_hash_matches_only_its_password() -> None:
    password_hash = hash_password("correct horse")

    assert password_hash.startswith("$argon2id$")
    assert password_hash != hash_password("correct horse")
    assert is_password(password_hash, "correct horse")
    assert not is_password(password_hash, "correct horse ")


@pytest.mark.parametrize(
    ("password_hash", "password"),
    [
        pytest.param(None, "anything", id="no hash"),
        pytest.param("garbage", "anything", id="not a hash"),
        pytest.param("", "", id="empty"),
        pytest.param(None, "\ud800", id="a lone surrogate"),
    ],
)
def test_a_bad_hash_or_password_does_not_match(password_hash: str | None, password: str) -> None:
    assert not is_password(password_hash, password)

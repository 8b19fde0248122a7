import pytest

from collector.domain.access.scope import effective, with_implied
from collector.domain.access.token import (
    TOKEN_LENGTH,
    TokenEntry,
    imported_token_error,
    lookup_prefix,
    new_token,
    present,
    token_digest,
)
from tests.support.factories import CLIENT_TOKEN, a_token_entry


def test_new_tokens_are_40_random_letters_and_digits() -> None:
    made = {new_token() for _ in range(100)}

    assert len(made) == 100
    assert all(len(token) == TOKEN_LENGTH and token.isalnum() and token.isascii() for token in made)


def test_a_token_with_the_right_prefix_and_a_wrong_secret_does_not_match() -> None:
    entry = a_token_entry()
    right, wrong = present(CLIENT_TOKEN), present(CLIENT_TOKEN[:-1] + "x")

    assert right is not None
    assert wrong is not None
    assert right.lookup == wrong.lookup == lookup_prefix(CLIENT_TOKEN)
    assert entry.matches(right)
    assert not entry.matches(wrong)


@pytest.mark.parametrize("text", ["", "a" * 9, "a" * 101], ids=["empty", "too short", "too long"])
def test_texts_of_an_impossible_length_are_not_looked_up(text: str) -> None:
    assert present(text) is None


@pytest.mark.parametrize(
    ("text", "is_valid"),
    [
        pytest.param("my-own-client-key-0123456789abcdef", True, id="any letters, digits and hyphens"),
        pytest.param("5f3c9a1be07d2468ac13570e", True, id="24 hexadecimal digits"),
        pytest.param("5f3c9a1be07d2468ac13570", False, id="too short"),
        pytest.param("abcdefghij" * 4 + "k", False, id="too long"),
        pytest.param("my_own_client_key_0123456789abcdef", False, id="another character"),
        pytest.param("\u0661" * 12 + "abcdefghijkl", False, id="digits of another script"),
        pytest.param("abcdefg" * 5, False, id="seven different characters"),
    ],
)
def test_an_imported_token_must_be_well_formed_and_hard_to_guess(text: str, is_valid: bool) -> None:  # noqa: FBT001
    assert (imported_token_error(text) is None) is is_valid


def test_a_token_with_lone_surrogates_can_be_hashed() -> None:
    """Header bytes outside UTF-8 arrive as lone surrogates."""
    assert present("\udcff" * 12) is not None
    assert len(token_digest("\udcff")) == 32


@pytest.mark.parametrize(
    ("expires_ms", "is_expired"), [(None, False), (999, True), (1000, False), (1001, False)]
)
def test_a_token_is_expired_after_its_expiry(expires_ms: int | None, is_expired: bool) -> None:  # noqa: FBT001
    assert TokenEntry(b"", (), (), expires_ms=expires_ms).is_expired(1000) is is_expired


@pytest.mark.parametrize(
    ("scopes", "expected"),
    [
        pytest.param(["user"], ("user", "client"), id="user implies client"),
        pytest.param(["Global"], ("global", "user", "client"), id="global implies both, in any case"),
        pytest.param(["client", "client"], ("client",), id="each once"),
        pytest.param(["source-maps:write"], ("source-maps:write",), id="implies nothing"),
        pytest.param([], (), id="none"),
    ],
)
def test_scopes_include_those_they_imply(scopes: list[str], expected: tuple[str, ...]) -> None:
    assert with_implied(scopes) == expected


def test_a_token_without_scopes_is_a_client_token() -> None:
    assert effective([]) == ("client",)
    assert a_token_entry(scopes=()).allows("client")
    assert not a_token_entry(scopes=()).allows("user")

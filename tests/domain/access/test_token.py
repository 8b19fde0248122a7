"""Tokens are recognised without their secret being kept."""

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
from tests.factories import CLIENT_TOKEN, a_token_entry


def test_new_tokens_are_40_letters_and_digits_and_never_the_same() -> None:
    """As the official server makes them."""
    made = {new_token() for _ in range(100)}

    assert len(made) == 100
    assert all(len(token) == TOKEN_LENGTH and token.isalnum() and token.isascii() for token in made)


def test_a_token_matches_only_when_the_whole_of_it_does() -> None:
    """The first 24 characters find it; the other 16 must be right too."""
    entry = a_token_entry()
    right, wrong = present(CLIENT_TOKEN), present(CLIENT_TOKEN[:-1] + "x")

    assert right is not None
    assert wrong is not None
    assert right.lookup == wrong.lookup == lookup_prefix(CLIENT_TOKEN)
    assert entry.matches(right)
    assert not entry.matches(wrong)


@pytest.mark.parametrize("text", ["", "a" * 9, "a" * 101], ids=["empty", "too short", "too long"])
def test_some_texts_can_be_no_token(text: str) -> None:
    """They are refused before any look-up."""
    assert present(text) is None


@pytest.mark.parametrize(
    ("text", "is_right"),
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
def test_a_token_that_was_made_elsewhere_is_one_that_could_be_ours(text: str, is_right: bool) -> None:  # noqa: FBT001
    """A whole one on every route, and too long to guess."""
    assert (imported_token_error(text) is None) is is_right


def test_text_outside_utf_8_is_a_token_like_any_other_wrong_one() -> None:
    """Bytes of a header arrive as lone surrogates; hashing them must not fail."""
    assert present("\udcff" * 12) is not None
    assert len(token_digest("\udcff")) == 32


@pytest.mark.parametrize(
    ("expires_ms", "is_expired"), [(None, False), (999, True), (1000, False), (1001, False)]
)
def test_a_token_expires_when_its_moment_has_passed(expires_ms: int | None, is_expired: bool) -> None:  # noqa: FBT001
    """Contract 1.2: expired means before now."""
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
def test_scopes_bring_what_they_imply(scopes: list[str], expected: tuple[str, ...]) -> None:
    """Stored scopes contain the implied ones."""
    assert with_implied(scopes) == expected


def test_a_token_without_scopes_is_a_client_token() -> None:
    """Contract 1.2."""
    assert effective([]) == ("client",)
    assert a_token_entry(scopes=()).allows("client")
    assert not a_token_entry(scopes=()).allows("user")

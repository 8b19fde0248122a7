"""What counts as an e-mail address in a user's description."""

import pytest

from collector.domain.intake.email_address import is_email_address


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("me@example.com", id="an ordinary one"),
        pytest.param("me@intranet", id="within a company"),
        pytest.param("me@host.local", id="within a house"),
        pytest.param("jörg+tag@bücher.example", id="with letters of other languages"),
    ],
)
def test_a_plausible_address_is_taken(text: str) -> None:
    """A description is not lost for an address that only the sender's network knows."""
    assert is_email_address(text)


@pytest.mark.parametrize("text", ["", "me", "@", "me@", "@example.com", "a@b@c", "a@b\nc", "a\r@b"])
def test_what_is_no_address_is_told(text: str) -> None:
    """One `@` with something on both sides, in one line."""
    assert not is_email_address(text)

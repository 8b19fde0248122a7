"""Valid e-mail addresses in users' descriptions."""

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
def test_a_plausible_address_is_accepted(text: str) -> None:
    """A description is not lost because its address is known only in the sender's network."""
    assert is_email_address(text)


@pytest.mark.parametrize("text", ["", "me", "@", "me@", "@example.com", "a@b@c", "a@b\nc", "a\r@b"])
def test_other_texts_are_not_addresses(text: str) -> None:
    """An address has one `@` with text on both sides, in one line."""
    assert not is_email_address(text)

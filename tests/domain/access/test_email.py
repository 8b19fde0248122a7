import pytest

from collector.domain.access.email import email_error


@pytest.mark.parametrize(
    "text",
    [
        "me@example.com",
        " me+tag@sub.example.co.uk ",
        "me@intranet",
        "me@localhost",
        "me@host.local",
        "jörg@müller.example",
    ],
)
def test_addresses_in_and_outside_of_a_house_are_taken(text: str) -> None:
    """Nobody asks the DNS; who may sign up is another question."""
    assert email_error(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "me",
        "@example.com",
        "me@",
        "me@@example.com",
        "me @example.com",
        "me@exa mple.com",
        "me@example.com\r\nBcc: you@example.com",
        "me\0@example.com",
        "Me <me@example.com>",
        "me@[127.0.0.1]",
        "me@site.invalid",
        "m" * 65 + "@example.com",
        "me@" + "a" * 300 + ".com",
        "\ud800@example.com",
    ],
)
def test_what_is_no_address_is_told(text: str) -> None:
    """In a sentence for whoever typed it."""
    fault = email_error(text)

    assert fault is not None
    assert fault.endswith(".")

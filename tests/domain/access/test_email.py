import email_validator
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
        "me@HOST.Local",
        "me@host.localhost",
        "jörg@müller.example",
    ],
)
def test_public_and_private_addresses_are_valid(text: str) -> None:
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
        "me@onion",
        "local",
        "@local",
        "me@.local",
        "m" * 65 + "@local",
        "m" * 65 + "@example.com",
        "me@" + "a" * 300 + ".com",
        "\ud800@example.com",
    ],
)
def test_an_invalid_address_is_rejected_with_a_sentence(text: str) -> None:
    error = email_error(text)

    assert error is not None
    assert error.endswith(".")


def test_the_librarys_list_of_reserved_domains_is_left_alone() -> None:
    assert {"local", "localhost"} <= set(email_validator.SPECIAL_USE_DOMAIN_NAMES)

"""The credentials in a request (contract 1.1): the Authorization header first, then the query string."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_QUERY_NAMES: Final = ("access_token", "api_key", "apikey")
_BASIC_CLIENT: Final = "client"
_BASIC_OAUTH: Final = "x-oauth-basic"


@dataclass(frozen=True, slots=True)
class TokenCredentials:
    """A token as the client sent it."""

    token: str


@dataclass(frozen=True, slots=True)
class PasswordCredentials:
    """An e-mail address and a password, sent with Basic authentication."""

    email: str
    password: str


Credentials = TokenCredentials | PasswordCredentials


def parse_credentials(authorization: str | None, query: Mapping[str, str]) -> Credentials | None:
    """Parse the credentials that the request carries; None if it carries none.

    A header with a known scheme wins even if it is malformed; the query string counts only if the header is
    absent or has an unknown scheme.
    """
    scheme, _, value = (authorization or "").strip().partition(" ")
    match scheme.lower():
        case "bearer" | "token":
            return _token(value)
        case "basic":
            return _basic(value)
    # Of a parameter that is repeated, in whatever case, the first counts.
    first = {name.lower(): text for name, text in reversed(list(query.items()))}
    for name in _QUERY_NAMES:
        if found := _token(first.get(name, "")):
            return found
    return None


def _token(text: str) -> TokenCredentials | None:
    text = text.strip()
    return TokenCredentials(text) if text else None


def _basic(value: str) -> Credentials | None:
    """`client:<token>`, `<token>:`, `<token>:x-oauth-basic` or `<email>:<password>`."""
    try:
        text = base64.b64decode(value.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    user, colon, password = text.partition(":")
    if not user or not colon:
        return None
    if user.lower() == _BASIC_CLIENT:
        return _token(password)
    if password in {"", _BASIC_OAUTH}:
        return _token(user)
    return PasswordCredentials(user, password)

"""Credentials in a request (contract 1.1): the Authorization header first, then the query string."""

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
    """A token as text."""

    token: str


@dataclass(frozen=True, slots=True)
class PasswordCredentials:
    """An e-mail address and a password, from Basic authentication."""

    email: str
    password: str


Credentials = TokenCredentials | PasswordCredentials


def parse_credentials(authorization: str | None, query: Mapping[str, str]) -> Credentials | None:
    """What the request is authenticated with, or None.

    A header with a known scheme wins, even one that cannot be read; the query string counts only where the
    header is absent or has an unknown scheme.
    """
    scheme, _, value = (authorization or "").strip().partition(" ")
    match scheme.lower():
        case "bearer" | "token":
            return _token(value)
        case "basic":
            return _basic(value)
        case _:
            return _from_query(query)


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


def _from_query(query: Mapping[str, str]) -> TokenCredentials | None:
    # The first of a name counts, in whatever case.
    given = {name.lower(): text for name, text in reversed(list(query.items()))}
    for name in _QUERY_NAMES:
        if found := _token(given.get(name, "")):
            return found
    return None

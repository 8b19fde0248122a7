"""What a token may do: `global` implies `user`, `user` implies `client`."""

from collections.abc import Iterable
from typing import Final

CLIENT: Final = "client"
USER: Final = "user"
GLOBAL: Final = "global"
SOURCE_MAPS_WRITE: Final = "source-maps:write"

GRANTABLE: Final = frozenset({CLIENT, USER, GLOBAL, SOURCE_MAPS_WRITE})
"""The scopes that a token can be created with (contract section 2)."""

_IMPLIED: Final = {GLOBAL: USER, USER: CLIENT}


def with_implied(scopes: Iterable[str]) -> tuple[str, ...]:
    """Each scope once, in lower case, followed by those it implies: `["user"]` gives `("user", "client")`."""
    ordered: dict[str, None] = {}
    for scope in scopes:
        implied: str | None = scope.strip().lower()
        while implied:
            ordered.setdefault(implied)
            implied = _IMPLIED.get(implied)
    return tuple(ordered)


def effective(scopes: Iterable[str]) -> tuple[str, ...]:
    """The scopes that a stored token grants; a token without scopes grants `client`."""
    return with_implied(scopes) or (CLIENT,)

"""Routes as values: method, path, handler and who may call it.

`{id:objectid}` in a path is a parameter with one of the constraints below. A path that violates a constraint
matches no route: 404, as the contract requires.
"""

import enum
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

CONSTRAINTS: Final = {
    "objectid": r"[a-zA-Z0-9]{24,36}",
    "objectids": r"[a-zA-Z0-9]{24,36}(?:,[a-zA-Z0-9]{24,36})*",
    "identifier": r"[a-zA-Z0-9-]{8,100}",
    "token": r"[a-zA-Z0-9-]{24,40}",
    "tokens": r"[a-zA-Z0-9-]{24,40}(?:,[a-zA-Z0-9-]{24,40})*",
    "text": r"[^/]+",
}

_PREFIX: Final = "/api/v2"
_PARAMETER: Final = re.compile(r"\{(\w+):(\w+)\}")


class Role(enum.Enum):
    """Who may call a route."""

    ANYONE = "anyone"
    USER = "user"
    """A login, a password or an access token with the scope `user`."""
    PERSON = "person"
    """A login or a password; access tokens are refused whatever their scopes."""
    GLOBAL = "global"
    """A login, a password or an access token with the scope `global`."""


@dataclass(frozen=True, slots=True)
class Route:
    """One route; `path` is relative to `/api/v2`."""

    method: str
    path: str
    handler: Handler
    role: Role

    @property
    def template(self) -> str:
        """`/api/v2/projects/{id}`: the path in metrics and the OpenAPI document."""
        return _PREFIX + _PARAMETER.sub(r"{\1}", self.path)

    @property
    def pattern(self) -> str:
        """The path in the router's syntax, with constraints as regular expressions."""
        return _PREFIX + _PARAMETER.sub(lambda found: f"{{{found[1]}:{CONSTRAINTS[found[2]]}}}", self.path)

"""Routes as values: what a path looks like and who may call it. Nothing else says so anywhere.

`{id:objectid}` in a path is a parameter with one of the constraints below; a path that breaks it is no route
at all: 404, as the contract has it.
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
    """Whoever has the scope `user`, a program too."""
    PERSON = "person"
    """Likewise, but by a login or a password: a program cannot, whatever its scopes."""
    GLOBAL = "global"
    """Those who may do everything: a login or a token with the scope `global`."""


@dataclass(frozen=True, slots=True)
class Route:
    """One thing that the api does; `path` goes on after `/api/v2`."""

    method: str
    path: str
    handler: Handler
    role: Role

    @property
    def template(self) -> str:
        """`/api/v2/projects/{id}`: the path for people, metrics and documents."""
        return _PREFIX + _PARAMETER.sub(r"{\1}", self.path)

    @property
    def pattern(self) -> str:
        """The path as the router takes it."""
        return _PREFIX + _PARAMETER.sub(lambda found: f"{{{found[1]}:{CONSTRAINTS[found[2]]}}}", self.path)

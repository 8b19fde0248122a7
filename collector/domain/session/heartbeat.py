"""A session's heartbeat, as clients write it into a query string (contract 3.8).

They do not encode the id, which may be a user's name or e-mail address: `id=a+b@c.d&close=true` is of
`a+b@c.d`, and `id=Smith & Sons&close=False` of `Smith & Sons`.
"""

import re
from typing import Final, NamedTuple
from urllib.parse import unquote

MAXIMUM_KEY_LENGTH: Final = 1000

_AS_CLIENTS_WRITE: Final = re.compile(
    r"id=(?P<id>.*)&close=(?P<close>true|false)(?:&access_token=[^&]*)?", re.IGNORECASE | re.DOTALL
)
_PARAMETER: Final = re.compile(r"(?:^|&)(?P<name>[^=&]*)=?(?P<value>[^&]*)")


class Heartbeat(NamedTuple):
    """A sign of life of a session, named by its id or by its user's identity; `closes` ends it."""

    session_key: str
    closes: bool


def parse_heartbeat(query: str) -> Heartbeat | None:
    """The heartbeat in a query string as it was sent; None where it names no session."""
    found = _AS_CLIENTS_WRITE.fullmatch(query)
    if found is not None:
        key, close = found["id"], found["close"]
    else:
        given = {unquote(name).lower(): value for name, value in _PARAMETER.findall(query)}
        key, close = given.get("id", ""), given.get("close", "")
    text = unquote(key).strip()[:MAXIMUM_KEY_LENGTH]
    return Heartbeat(text, closes=unquote(close).strip().lower() in {"true", "1"}) if text else None

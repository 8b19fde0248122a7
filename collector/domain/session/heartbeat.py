"""Parses a session's heartbeat from the query string that clients send (contract 3.8).

Clients do not encode the id, which may be a user's name or e-mail address: `id=a+b@c.d&close=true` names
`a+b@c.d`, and `id=Smith & Sons&close=False` names `Smith & Sons`.
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
    """A heartbeat of the session with this id or user identity; `closes` ends the session."""

    session_key: str
    closes: bool


def parse_heartbeat(query: str) -> Heartbeat | None:
    """Parse the raw query string; None if it names no session."""
    # As the clients write it, unencoded; or any other query string, in the usual encoding.
    found = _AS_CLIENTS_WRITE.fullmatch(query)
    if found is not None:
        key, close = found["id"], found["close"]
    else:
        parameters = {unquote(name).lower(): value for name, value in _PARAMETER.findall(query)}
        key, close = parameters.get("id", ""), parameters.get("close", "")
    text = unquote(key).strip()[:MAXIMUM_KEY_LENGTH]
    return Heartbeat(text, closes=unquote(close).strip().lower() in {"true", "1"}) if text else None

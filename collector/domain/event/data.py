"""Assembles an event's `data` (contract 3.4, 3.5): the sender's data, members without a column, the client.

If a name is taken, the added member gets a number suffix, and an underscore before `@`, as on the official
server, so that neither value is lost.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from collector.domain.event.known_objects import KNOWN_OBJECTS, respell
from collector.domain.jsonb.text import is_too_deep, parse_embedded_object

SUBMISSION_CLIENT: Final = "@submission_client"
MAXIMUM_AGENT_LENGTH: Final = 255
"""Limits the agent and its version, which are copied into every event of a post."""
MAXIMUM_DEPTH_WITHIN: Final = 128
"""For JSON in a string: it adds to the event's own levels, and the encoder allows 1,000 in total."""
_ERRORS: Final = ("@error", "@simple_error")


def assemble_data(
    data: dict[str, Any] | None, additions: Iterable[tuple[str, Any]], submission_client: dict[str, str]
) -> dict[str, Any]:
    """The complete `data` of an event; `@submission_client` is always set by the server."""
    whole = dict(data or {})
    # First the sender's own members, so that what is added later cannot take their names.
    for name in KNOWN_OBJECTS:
        if (value := whole.get(name)) is not None and not isinstance(value, dict):
            _add(whole, name, whole.pop(name))
    for name, value in additions:
        _add(whole, name, value)
    respell(whole)
    whole[SUBMISSION_CLIENT] = submission_client
    return whole


def is_error(data: Mapping[str, Any]) -> bool:
    """Whether the data contains an error."""
    return any(data.get(name) is not None for name in _ERRORS)


def submission_client(client_ip: str, user_agent: str) -> dict[str, str]:
    """The sender's address and lower-case user agent; `name/version` is split, any other agent kept whole."""
    name, _, version = user_agent.strip().lower().partition("/")
    if not version or "/" in version or " " in version:
        name, version = user_agent.strip().lower(), ""
    parts = {
        "ip_address": client_ip,
        "user_agent": name[:MAXIMUM_AGENT_LENGTH],
        "version": version[:MAXIMUM_AGENT_LENGTH],
    }
    return {key: text for key, text in parts.items() if text}


def parse_object_text(text: str) -> dict[str, Any] | None:
    """Parse a string within an event as a JSON object, or None; large exponents in it stay text."""
    text = text.strip()
    is_object = text.startswith("{") and not is_too_deep(text, levels=MAXIMUM_DEPTH_WITHIN)
    return parse_embedded_object(text) if is_object else None


def _add(data: dict[str, Any], name: str, value: Any) -> None:
    """Add a member under a free name; a known object may be JSON text, any other value for it is renamed."""
    if name in KNOWN_OBJECTS and isinstance(value, str):
        value = parse_object_text(value) or value
    if name in KNOWN_OBJECTS and not isinstance(value, dict | None):
        name = f"_{name}"
    if name in data and name.startswith("@"):
        name = f"_{name}"
    free, number = name, 1
    while free in data:
        free, number = f"{name}{number}", number + 1
    data[free] = value

"""An event's `data`: the sender's, what had no place elsewhere, what the server knows (contract 3.4, 3.5).

Where a name is taken the newcomer gets a number, after an underscore in front of `@`, as the official server
does it: neither of the two values is lost.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from collector.domain.event.known_objects import KNOWN_OBJECTS, respell
from collector.domain.jsonb.text import is_too_deep, parse_embedded_object

SUBMISSION_CLIENT: Final = "@submission_client"
MAXIMUM_AGENT_LENGTH: Final = 255
"""Of the agent and of its version: each event of a post gets a copy."""
MAXIMUM_DEPTH_WITHIN: Final = 128
"""Of JSON in a text: it comes on top of the event's own levels, and the encoder bears 1,000 in all."""
_ERRORS: Final = ("@error", "@simple_error")


def assemble_data(
    data: dict[str, Any] | None, additions: Iterable[tuple[str, Any]], submission_client: dict[str, str]
) -> dict[str, Any]:
    """The whole `data` of an event; `@submission_client` is always the server's own."""
    whole = dict(data or {})
    for name in KNOWN_OBJECTS:
        if (value := whole.get(name)) is not None and not isinstance(value, dict):
            _add(whole, name, whole.pop(name))
    for name, value in additions:
        _add(whole, name, value)
    respell(whole)
    whole[SUBMISSION_CLIENT] = submission_client
    return whole


def is_error(data: Mapping[str, Any]) -> bool:
    """Whether the data tells of an error."""
    return any(data.get(name) is not None for name in _ERRORS)


def submission_client(client_ip: str, user_agent: str) -> dict[str, str]:
    """Who sent it, in lower case: an agent `name/version` in its two parts, any other one as it is."""
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
    """The object that a text within an event is, or None; an exponent in it is not spelled out."""
    text = text.strip()
    is_object = text.startswith("{") and not is_too_deep(text, levels=MAXIMUM_DEPTH_WITHIN)
    return parse_embedded_object(text) if is_object else None


def _add(data: dict[str, Any], name: str, value: Any) -> None:
    """Add a member; a known object may come as JSON text, anything else in its place gets another name."""
    if name in KNOWN_OBJECTS and isinstance(value, str):
        value = parse_object_text(value) or value
    if name in KNOWN_OBJECTS and not isinstance(value, dict | None):
        name = f"_{name}"
    data[_free_name(data, name)] = value


def _free_name(data: dict[str, Any], name: str) -> str:
    if name not in data:
        return name
    name = f"_{name}" if name.startswith("@") else name
    free, number = name, 1
    while free in data:
        free, number = f"{name}{number}", number + 1
    return free

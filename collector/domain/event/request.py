"""Applies the rules for an event's `@request`: parses its user agent and removes what must not be stored.

Cookies, form, query and headers lose excluded and nameless members; long values are truncated.
"""

from typing import Any, Final

from collector.domain.event.data import parse_object_text
from collector.domain.event.user_agent import MAXIMUM_AGENT_LENGTH, parse_agent
from collector.domain.project.exclusions import REQUEST_EXCLUSIONS, exclude, truncate_texts
from collector.domain.project.rules import ProjectRules

MAXIMUM_VALUE_LENGTH: Final = 1000

_POST_DATA: Final = "post_data"
_COLLECTIONS: Final = ("headers", "cookies", "query_string", _POST_DATA)
_PRIVATE: Final = ("client_ip_address", *_COLLECTIONS)
_NAMELESS: Final = ""


def complete_request(request: dict[str, Any], project: ProjectRules) -> bool:
    """Apply the rules to a request in place; returns whether it came from a bot."""
    if not project.include_private_information:
        for name in _PRIVATE:
            request.pop(name, None)
    posted = request.get(_POST_DATA)
    if isinstance(posted, str) and (form := parse_object_text(posted)) is not None:
        request[_POST_DATA] = form
    for name in _COLLECTIONS:
        collection = request.get(name)
        if isinstance(collection, dict | list) and collection:
            if isinstance(collection, dict):
                collection.pop(_NAMELESS, None)
            exclude(collection, REQUEST_EXCLUSIONS)
            if project.exclusions:
                exclude(collection, project.exclusions)
            truncate_texts(collection, MAXIMUM_VALUE_LENGTH)
    # Add what the user agent reveals to the request's `data`.
    user_agent = request.get("user_agent")
    if not isinstance(user_agent, str) or not user_agent.strip():
        return False
    agent = parse_agent(user_agent)
    patterns = project.bot_patterns
    is_bot = agent.is_spider or (bool(patterns) and patterns.match(user_agent[:MAXIMUM_AGENT_LENGTH]))
    data = request.get("data")
    if isinstance(data, dict | None):
        request["data"] = {**(data or {}), **dict(agent.members), "@is_bot": is_bot}
    return is_bot


def method_and_path(request: dict[str, Any]) -> str:
    """`METHOD /path` of a request, or only the path if the method is unknown."""
    method, path = request.get("http_method"), request.get("path")
    path = path if isinstance(path, str) else ""
    path = path if path.startswith("/") else f"/{path}"
    return f"{method} {path}" if isinstance(method, str) and method.strip() else path

"""What is done with an event's `@request`: its agent is told apart, and what must not be kept goes.

Cookies, form, query and headers lose what is excluded and what has no name; long values keep their beginning.
"""

from typing import Any, Final

from collector.domain.event.data import parse_object_text
from collector.domain.event.user_agent import MAXIMUM_AGENT_LENGTH, parse_agent
from collector.domain.project.exclusions import exclude, truncate_texts
from collector.domain.project.rules import ProjectRules

MAXIMUM_VALUE_LENGTH: Final = 1000

_POST_DATA: Final = "post_data"
_COLLECTIONS: Final = ("headers", "cookies", "query_string", _POST_DATA)
_PRIVATE: Final = ("client_ip_address", *_COLLECTIONS)
_NAMELESS: Final = ""


def complete_request(request: dict[str, Any], project: ProjectRules) -> bool:
    """Apply the rules to a request, in place; whether it came from a bot."""
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
            exclude(collection, project.request_exclusions)
            truncate_texts(collection, MAXIMUM_VALUE_LENGTH)
    return _tell_agent(request, project)


def method_and_path(request: dict[str, Any]) -> str:
    """`METHOD /path`, as far as it is known: what was not found."""
    method, path = request.get("http_method"), request.get("path")
    path = path if isinstance(path, str) else ""
    path = path if path.startswith("/") else f"/{path}"
    return f"{method} {path}" if isinstance(method, str) and method.strip() else path


def _tell_agent(request: dict[str, Any], project: ProjectRules) -> bool:
    """Write what the agent tells into the request's own `data`."""
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

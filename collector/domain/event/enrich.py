"""The rules about what an event says, in the order of contract 3.5: 404s, errors, requests, privacy.

They apply to the whole event, when its columns and `data` are assembled and before anything is stored.
"""

from dataclasses import dataclass, field
from typing import Any, Final

from collector.domain.event.error_target import error_chain, find_target, simple_error_info
from collector.domain.event.geo import LOCATION, LocationFinder, find_location
from collector.domain.event.members import MAXIMUM_TEXT_LENGTH, as_text
from collector.domain.event.outcome import DiscardReason
from collector.domain.event.privacy import remove_private
from collector.domain.event.request import complete_request, method_and_path
from collector.domain.project.exclusions import exclude, is_excluded
from collector.domain.project.patterns import Patterns
from collector.domain.project.rules import ProjectRules

NOT_FOUND: Final = "404"
HEARTBEAT: Final = "heartbeat"

_ERROR: Final = "error"
_TARGET: Final = "@target"
_NOT_OF_A_404: Final = ("@environment", "@trace", "@error", "@simple_error")
_WITH_DATA: Final = ("@error", "@simple_error", "@environment", "@user", "@user_description")


@dataclass(slots=True)
class Draft:
    """An event while the rules are applied to it; `data` is its own and may be changed at any depth.

    `error_info` is what the rules find to tell its error from others.
    """

    type: str
    message: str | None
    source: str | None
    geo: str | None
    data: dict[str, Any]
    error_info: dict[str, str] = field(default_factory=dict)


def apply_rules(draft: Draft, project: ProjectRules) -> DiscardReason | None:
    """Change the draft as the rules have it; why it is discarded, if it is."""
    if draft.type == HEARTBEAT:
        return DiscardReason.HEARTBEAT
    if draft.type == NOT_FOUND:
        _name_what_was_not_found(draft)
    elif draft.type == _ERROR:
        _tell_error(draft)
    request = draft.data.get("@request")
    if isinstance(request, dict) and complete_request(request, project) and project.delete_bot_data:
        return DiscardReason.BOT
    if project.exclusions:
        _exclude(draft.data, project.exclusions)
    if not project.include_private_information:
        remove_private(draft.data)
    return None


def locate(draft: Draft, locations: LocationFinder) -> None:
    """Say where an event happened that does not say so itself."""
    if draft.geo is None and (place := find_location(draft.data, locations)):
        draft.geo = place.geo
        draft.data[LOCATION] = place.location


def _name_what_was_not_found(draft: Draft) -> None:
    for name in _NOT_OF_A_404:
        draft.data.pop(name, None)
    request = draft.data.get("@request")
    if isinstance(request, dict) and not (draft.source or "").strip():
        draft.message, draft.source = None, method_and_path(request)[:MAXIMUM_TEXT_LENGTH]


def _tell_error(draft: Draft) -> None:
    """The error's message is the event's where it has none, and the error names its target."""
    error, simple_error = draft.data.get("@error"), draft.data.get("@simple_error")
    if isinstance(error, dict):
        _take_message(draft, error)
        if target := find_target(error):
            message = {"Message": target.message} if target.message else {}
            _name_target(error, target.info | message)
            draft.error_info = target.info
    if isinstance(simple_error, dict):
        _take_message(draft, simple_error)
        info = simple_error_info(simple_error)
        _name_target(simple_error, info)
        draft.error_info = draft.error_info or info


def _take_message(draft: Draft, error: dict[str, Any]) -> None:
    if not (draft.message or "").strip():
        draft.message = (as_text(error.get("message")) or "")[:MAXIMUM_TEXT_LENGTH] or draft.message


def _name_target(error: dict[str, Any], target: dict[str, str]) -> None:
    data = error.get("data")
    if target and isinstance(data, dict | None):
        error["data"] = {
            **(data or {}),
            _TARGET: {name: text[:MAXIMUM_TEXT_LENGTH] for name, text in target.items()},
        }


def _exclude(data: dict[str, Any], patterns: Patterns) -> None:
    """Remove what the project excludes from the sender's own data, wherever an event has room for it."""
    for name in [name for name in data if not name.startswith("@")]:
        if is_excluded(name, patterns):
            del data[name]
        else:
            exclude(data[name], patterns)
    for name in _WITH_DATA:
        for known in error_chain(data.get(name)):
            exclude(known.get("data"), patterns)

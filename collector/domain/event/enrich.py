"""Applies the rules of contract 3.5 in their order: 404s, errors, requests, exclusions, privacy.

They run on the complete event, after its columns and `data` are assembled and before it is stored.
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
    """An event while rules are applied to it. It owns `data`, which may be modified at any depth.

    `error_info` identifies the error for stacking; the rules fill it.
    """

    type: str
    message: str | None
    source: str | None
    geo: str | None
    data: dict[str, Any]
    error_info: dict[str, str] = field(default_factory=dict)


def apply_rules(draft: Draft, project: ProjectRules) -> DiscardReason | None:
    """Apply the rules to the draft in place; returns the reason if the event is discarded."""
    if draft.type == HEARTBEAT:
        return DiscardReason.HEARTBEAT
    if draft.type == NOT_FOUND:
        # Of a 404 only the request counts: `GET /path` is what its stack is named after.
        for name in _NOT_OF_A_404:
            draft.data.pop(name, None)
        request = draft.data.get("@request")
        if isinstance(request, dict) and not (draft.source or "").strip():
            draft.message, draft.source = None, method_and_path(request)[:MAXIMUM_TEXT_LENGTH]
    elif draft.type == _ERROR:
        _describe_error(draft)
    request = draft.data.get("@request")
    if isinstance(request, dict) and complete_request(request, project) and project.delete_bot_data:
        return DiscardReason.BOT
    # Last, because the rules above read what these two remove.
    if project.exclusions:
        _exclude_sent_data(draft.data, project.exclusions)
    if not project.include_private_information:
        remove_private(draft.data)
    return None


def locate(draft: Draft, locations: LocationFinder) -> None:
    """Set the location of an event without coordinates, if one of its addresses is known."""
    if draft.geo is None and (found := find_location(draft.data, locations)):
        draft.geo = found.geo
        draft.data[LOCATION] = found.location


def _describe_error(draft: Draft) -> None:
    """Use the error's message if the event has none, and add the error's target to its data."""
    error, simple_error = draft.data.get("@error"), draft.data.get("@simple_error")
    # An event may have both; the detailed error then decides about the message and the stack.
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


def _exclude_sent_data(data: dict[str, Any], patterns: Patterns) -> None:
    """Remove excluded members from the sender's own data, at the root and in the `data` of known objects."""
    for name in [name for name in data if not name.startswith("@")]:
        if is_excluded(name, patterns):
            del data[name]
        else:
            exclude(data[name], patterns)
    for name in _WITH_DATA:
        for known in error_chain(data.get(name)):
            exclude(known.get("data"), patterns)

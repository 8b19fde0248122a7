"""Finds an event's stack: events of a project with the same signature form one stack (contract 9).

The signature is what the sender sets in `@stack`, else what identifies the error, else type and source. The
stack's id is derived from it, so every worker and every replay computes the same id without a query.
"""

import hashlib
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final

import msgspec

from collector.domain.event.error_target import sha1_hex
from collector.domain.event.members import as_text

MAXIMUM_TITLE_LENGTH: Final = 1000

_ID_LENGTH: Final = 16
_MAXIMUM_INFO: Final = 50
_MAXIMUM_INFO_LENGTH: Final = 1000
"""Limits each stored name and value; the hash covers the full text."""
_KNOWN_STACKS: Final = 4096


class StackStatus(StrEnum):
    """The status that users give a stack; events of a discarded stack are dropped."""

    OPEN = "open"
    FIXED = "fixed"
    REGRESSED = "regressed"
    SNOOZED = "snoozed"
    IGNORED = "ignored"
    DISCARDED = "discarded"


class Stack(msgspec.Struct, frozen=True, gc=False):
    """What all events of a stack share; an empty `title` means that the first event's columns give it."""

    id: bytes
    signature_hash: str
    signature_info: dict[str, str]
    title: str = ""


def find_stack(
    project_id: bytes, type_: str, source: str | None, data: Mapping[str, Any], error_info: Mapping[str, str]
) -> Stack:
    """The stack of an event; `error_info` identifies its error and is empty for other events."""
    manual = data.get("@stack")
    if isinstance(manual, dict):
        title = (as_text(manual.get("title")) or "").strip()
        signature = manual.get("signature_data")
        members = signature.items() if isinstance(signature, dict) else ()
        if info := {name: text for name, value in members if (text := as_text(value))}:
            return _stack(project_id, info, title)
        # A title without a signature names the stack that the event has anyway.
        found = _automatic_stack(project_id, type_, source, data, error_info)
        return msgspec.structs.replace(found, title=title[:MAXIMUM_TITLE_LENGTH]) if title else found
    return _automatic_stack(project_id, type_, source, data, error_info)


@lru_cache(maxsize=_KNOWN_STACKS)
def plain_stack(project_id: bytes, type_: str, source: str | None) -> Stack:
    """The stack of an event without an error and without `@stack`."""
    return _stack(project_id, {"Type": type_, "Source": source} if source else {"Type": type_})


def stack_title(stack: Stack, type_: str, source: str | None, message: str | None) -> str:
    """The title of a new stack; `type_`, `source` and `message` belong to its first event."""
    match type_:
        case "log":
            title = source or "(Global)"
        case "404" | "usage":
            title = source or "(Unknown)"
        case "session":
            title = "Session Start"
        case "sessionend":
            title = "Session End"
        case "error":
            title = message or "Unknown Error"
        case _:
            title = message or source or f"{type_} Event"
    return (stack.title or title)[:MAXIMUM_TITLE_LENGTH]


def _automatic_stack(
    project_id: bytes, type_: str, source: str | None, data: Mapping[str, Any], error_info: Mapping[str, str]
) -> Stack:
    if not error_info:
        return plain_stack(project_id, type_, source)
    errors = (data.get("@error"), data.get("@simple_error"))
    messages = (as_text(error.get("message")) for error in errors if isinstance(error, dict))
    return _stack(project_id, error_info, next(filter(None, messages), ""))


def _stack(project_id: bytes, info: Mapping[str, str], title: str = "") -> Stack:
    # Stored text never contains NUL, so two different signatures cannot collide.
    signature_hash = sha1_hex("\0".join(info.values()))
    id_ = hashlib.sha256(project_id + signature_hash.encode()).digest()[:_ID_LENGTH]
    kept = {
        name[:_MAXIMUM_INFO_LENGTH]: value[:_MAXIMUM_INFO_LENGTH]
        for name, value in list(info.items())[:_MAXIMUM_INFO]
    }
    return Stack(id_, signature_hash, kept, title[:MAXIMUM_TITLE_LENGTH])

"""Events as they are sent and read back, for the OpenAPI document; the domain has the rules.

Unknown members of an event are moved into its data.
"""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType


class EventForm(msgspec.Struct, frozen=True, kw_only=True):
    """An event as a client sends it; every member is optional."""

    type: Annotated[
        str | UnsetType | None,
        Meta(
            description="`log`, `error`, `usage`, `404`, `session` or your own; `log` or `error` by default."
        ),
    ] = UNSET
    source: Annotated[str | UnsetType | None, Meta(description="Where it comes from, like a logger.")] = UNSET
    date: Annotated[
        str | UnsetType | None,
        Meta(description="When it happened, ISO 8601 with an offset; now if omitted."),
    ] = UNSET
    tags: Annotated[list[str] | UnsetType | None, Meta(description="At most 50, of 100 characters.")] = UNSET
    message: Annotated[str | UnsetType | None, Meta(description="At most 2000 characters.")] = UNSET
    geo: Annotated[str | UnsetType | None, Meta(description="`latitude,longitude`.")] = UNSET
    value: Annotated[float | UnsetType | None, Meta(description="A number of your own.")] = UNSET
    count: Annotated[
        int | UnsetType | None,
        Meta(description="How many it stands for, if a client combines several."),
    ] = UNSET
    data: Annotated[
        dict[str, Any] | UnsetType | None,
        Meta(description="Anything; `@error`, `@request`, `@user` and others like them have a meaning."),
    ] = UNSET
    reference_id: Annotated[
        str | UnsetType | None,
        Meta(
            description="Your own id, 8 to 100 letters, digits or `-`: stored once, and found by it.",
        ),
    ] = UNSET


class StoredEventForm(EventForm, frozen=True, kw_only=True):
    """An event as it was stored; members that it does not have are omitted."""

    id: Annotated[str, Meta(description="The event's own id, ordered by when it was accepted.")]
    organization_id: str
    project_id: str
    stack_id: Annotated[
        str | UnsetType, Meta(description="Events with the same signature share a stack.")
    ] = UNSET
    is_first_occurrence: Annotated[bool, Meta(description="Whether it is the first event of its stack.")]
    created_utc: Annotated[datetime, Meta(description="When it was accepted.")]


class DescriptionForm(msgspec.Struct, frozen=True, kw_only=True):
    """A user's e-mail address, description of an event, or both."""

    email_address: str | UnsetType | None = UNSET
    description: str | UnsetType | None = UNSET
    data: dict[str, Any] | UnsetType | None = UNSET


EXAMPLE_REFERENCE = "hello-0001"
"""Used in the document's examples. The API page replaces it in each request: it is stored only once."""

SENT_EVENT = {
    "type": "log",
    "message": "Hello",
    "reference_id": EXAMPLE_REFERENCE,
    "tags": ["first"],
    "data": {"colour": "blue"},
}
"""An example that is accepted as it is."""

SENT_ERROR = {
    "type": "error",
    "reference_id": EXAMPLE_REFERENCE,
    "data": {
        "@error": {
            "type": "ZeroDivisionError",
            "message": "division by zero",
            "stack_trace": [
                {"declaring_type": "shop", "name": "share", "file_name": "shop.py", "line_number": 7},
                {"declaring_type": "shop", "name": "pay", "file_name": "shop.py", "line_number": 12},
            ],
        },
        "@user": {"identity": "7", "name": "Ann"},
    },
}
SENT_SIMPLE_ERROR = {
    "reference_id": EXAMPLE_REFERENCE,
    "data": {
        "@simple_error": {
            "type": "ZeroDivisionError",
            "message": "division by zero",
            "stack_trace": (
                "Traceback (most recent call last):\n"
                '  File "shop.py", line 12, in pay\n'
                "ZeroDivisionError: division by zero"
            ),
        }
    },
}
"""Errors with their stack traces: as frames, and as text printed by a language."""

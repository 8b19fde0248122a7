"""The schema of an entry in a list of events: an event in full or in short, or its stack.

Used by the OpenAPI document only.
"""

from datetime import datetime
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from collector.http.event_form import EventForm


class ListedEvent(EventForm, frozen=True, kw_only=True):
    """A stored event; with `mode=summary` in short, with `mode=stack_...` a stack."""

    id: Annotated[str, Meta(description="The event's own id; with `mode=stack_...` the stack's.")]
    project_id: str
    organization_id: str | UnsetType = UNSET
    stack_id: Annotated[
        str | UnsetType, Meta(description="The stack, which groups events with the same signature.")
    ] = UNSET
    is_first_occurrence: Annotated[
        bool | UnsetType, Meta(description="Whether this event created its stack.")
    ] = UNSET
    created_utc: Annotated[datetime | UnsetType, Meta(description="When the event was accepted.")] = UNSET
    template_key: Annotated[str | UnsetType, Meta(description="In short: the template that displays it.")] = (
        UNSET
    )
    project_name: Annotated[str | UnsetType, Meta(description="In short: the project's name.")] = UNSET
    version: Annotated[str | UnsetType, Meta(description="In short: the application's version.")] = UNSET
    title: Annotated[str | UnsetType, Meta(description="Of a stack: its title.")] = UNSET
    status: Annotated[str | UnsetType, Meta(description="Of a stack: its status.")] = UNSET
    first_occurrence: Annotated[datetime | UnsetType, Meta(description="Of a stack, in the time range.")] = (
        UNSET
    )
    last_occurrence: Annotated[datetime | UnsetType, Meta(description="Of a stack, in the time range.")] = (
        UNSET
    )
    total: Annotated[int | UnsetType, Meta(description="Of a stack: the number of events.")] = UNSET
    users: Annotated[int | UnsetType, Meta(description="Of a stack: the number of users affected.")] = UNSET
    total_users: Annotated[int | UnsetType, Meta(description="The number of users in all stacks.")] = UNSET

"""What stands in a list of events, for the document: an event, whole or in short, or its stack."""

from datetime import datetime
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from collector.http.event_form import EventForm


class ListedEvent(EventForm, frozen=True, kw_only=True):
    """An event as it was stored. With `mode` it is in short: `template_key` says what it is shown by."""

    id: Annotated[str, Meta(description="The event's own id; with `mode=stack_...` the stack's.")]
    project_id: str
    organization_id: str | UnsetType = UNSET
    stack_id: Annotated[
        str | UnsetType, Meta(description="Events with the same signature have the same.")
    ] = UNSET
    is_first_occurrence: Annotated[
        bool | UnsetType, Meta(description="Whether it is the first one of its stack.")
    ] = UNSET
    created_utc: Annotated[datetime | UnsetType, Meta(description="When it was accepted.")] = UNSET
    template_key: Annotated[str | UnsetType, Meta(description="In short: what it is shown by.")] = UNSET
    project_name: Annotated[str | UnsetType, Meta(description="In short.")] = UNSET
    version: Annotated[str | UnsetType, Meta(description="In short: the application's version.")] = UNSET
    title: Annotated[str | UnsetType, Meta(description="Of a stack.")] = UNSET
    status: Annotated[str | UnsetType, Meta(description="Of a stack.")] = UNSET
    first_occurrence: Annotated[datetime | UnsetType, Meta(description="Of a stack, in the time.")] = UNSET
    last_occurrence: Annotated[datetime | UnsetType, Meta(description="Of a stack, in the time.")] = UNSET
    total: Annotated[int | UnsetType, Meta(description="Of a stack: how often it occurred.")] = UNSET
    users: Annotated[int | UnsetType, Meta(description="Of a stack: how many users met it.")] = UNSET
    total_users: Annotated[int | UnsetType, Meta(description="How many users there are in all.")] = UNSET

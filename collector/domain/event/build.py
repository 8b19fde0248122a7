"""Builds the row to store from a raw event: defaults, limits and the rules of contract 3.5.

Every rule uses the time of acceptance as "now". So a replay builds the same row, and a worker that lags
behind does not discard events that were recent when they were accepted.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, Self

import msgspec

from collector.domain.event.data import SUBMISSION_CLIENT, assemble_data, is_error, submission_client
from collector.domain.event.date import EventDate, is_too_old, parse_date
from collector.domain.event.enrich import Draft, apply_rules, locate
from collector.domain.event.geo import LocationFinder
from collector.domain.event.members import (
    MAXIMUM_TEXT_LENGTH,
    MAXIMUM_TYPE_LENGTH,
    Members,
    as_count,
    as_geo,
    as_number,
    as_object,
    as_tags,
    as_text,
)
from collector.domain.event.outcome import DiscardReason, Event
from collector.domain.event.session_key import session_key, session_names
from collector.domain.event.stack import find_stack
from collector.domain.ids import accepted_at, event_id, is_reference_id
from collector.domain.jsonb.text import encode_object, replace_nul
from collector.domain.post import Post
from collector.domain.project.rules import DEFAULT_RULES, ProjectRules

INVALID_REFERENCE_ID: Final = "invalid-reference-id"
"""Replaces an invalid reference id; exempt from deduplication."""
_ORIGINAL_REFERENCE_ID: Final = "InvalidReferenceId"


class Sender(msgspec.Struct, frozen=True, gc=False):
    """What all events of a post share; `client_end` is `client` as JSON, ready to be appended to `data`."""

    post_id: bytes
    project_id: bytes
    organization_id: bytes
    accepted_utc: datetime
    client: dict[str, str]
    client_end: bytes

    @classmethod
    def of(cls, post: Post) -> Self:
        """The sender of a post."""
        client, client_end = _client(post.client_ip, post.user_agent)
        return cls(  # positional, for speed: a post often has a single event
            post.id,
            post.project_id,
            post.organization_id,
            accepted_at(post.id),
            client,
            client_end,
        )


class Columns(msgspec.Struct, frozen=True, gc=False):
    """The columns that no rule changes."""

    id: bytes
    date: EventDate
    reference_id: str | None
    tags: tuple[str, ...]
    value: Decimal | None
    count: int | None


def build_event(
    raw: Mapping[str, Any],
    index: int,
    sender: Sender,
    max_age: timedelta | None,
    project: ProjectRules = DEFAULT_RULES,
    locations: LocationFinder | None = None,
) -> Event | DiscardReason:
    """The row for the raw event at `index` in its post, or why it is discarded; never fails.

    Takes ownership of the objects in `raw` and may modify them.
    """
    now = sender.accepted_utc
    members = Members(raw)
    date = members.take(
        "date", lambda value: parse_date(value, now) if isinstance(value, str) else None
    ) or EventDate(now)
    if is_too_old(date.utc, now, max_age):
        return DiscardReason.TOO_OLD
    sent_type = members.take("type", as_text) or ""
    # Clients may send their own id instead of a reference id; an invalid one is kept in `data`.
    reference_id = members.take("reference_id", as_text)
    own_id = members.take("id", as_text)
    reference_id = reference_id or own_id
    additions: list[tuple[str, Any]] = []
    if reference_id and not is_reference_id(reference_id):
        additions.append((_ORIGINAL_REFERENCE_ID, reference_id))
        reference_id = INVALID_REFERENCE_ID
    message, source = members.take("message", as_text) or "", members.take("source", as_text) or ""
    tags = members.take("tags", as_tags) or ()
    value, count = members.take("value", as_number), members.take("count", as_count)
    geo = members.take("geo", as_geo)
    sent_data = members.take("data", as_object)
    data = assemble_data(sent_data, [*members.unplaced, *additions], sender.client)
    draft = Draft(
        effective_type(sent_type, data),
        message[:MAXIMUM_TEXT_LENGTH] or None,
        source[:MAXIMUM_TEXT_LENGTH] or None,
        geo,
        data,
    )
    columns = Columns(event_id(sender.post_id, index), date, reference_id, tags, value, count)
    return finish_event(draft, columns, sender, project, locations)


def finish_event(
    draft: Draft,
    columns: Columns,
    sender: Sender,
    project: ProjectRules,
    locations: LocationFinder | None = None,
) -> Event | DiscardReason:
    """Apply all rules to the draft; returns the row, or why it is discarded."""
    names = session_names(draft.data)  # before a rule removes the user
    if reason := apply_rules(draft, project):
        return reason
    if locations:
        locate(draft, locations)
    return Event(  # positional: keyword arguments take twice as long
        columns.id,
        sender.project_id,
        sender.organization_id,
        draft.type,
        columns.date.utc,
        columns.date.offset_minutes,
        sender.accepted_utc,
        find_stack(sender.project_id, draft.type, draft.source, draft.data, draft.error_info),
        columns.reference_id,
        draft.message,
        draft.source,
        columns.tags,
        columns.value,
        columns.count,
        draft.geo,
        encode_object(draft.data),
        session_key(sender.project_id, draft.type, columns.reference_id, *names),
    )


def effective_type(sent: str, data: Mapping[str, Any]) -> str:
    """The type as sent; a blank one becomes `error` if the data contains an error, else `log`."""
    if sent.strip():
        return sent[:MAXIMUM_TYPE_LENGTH]
    return "error" if is_error(data) else "log"


@lru_cache(maxsize=1024)
def _client(client_ip: str, user_agent: str) -> tuple[dict[str, str], bytes]:
    client = submission_client(replace_nul(client_ip), replace_nul(user_agent))
    return client, b"," + encode_object({SUBMISSION_CLIENT: client})[1:]


def _date(value: Any, now: datetime) -> EventDate | None:
    return parse_date(value, now) if isinstance(value, str) else None

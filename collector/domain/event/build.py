"""From a raw event to the row that is stored: defaults, limits and the rules of contract 3.5.

"Now" in every rule is the time of acceptance, so that a replay gives the same row and a late worker discards
nothing that was young when it was accepted.
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
"""Stands for a reference id that is none; never a duplicate."""
_ORIGINAL_REFERENCE_ID: Final = "InvalidReferenceId"


class Sender(msgspec.Struct, frozen=True, gc=False):
    """What a post says about all of its events; `client_end` is how `data` ends with `client`."""

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
        return cls(  # by position, as every post of one event needs one
            post.id,
            post.project_id,
            post.organization_id,
            accepted_at(post.id),
            client,
            client_end,
        )


class Columns(msgspec.Struct, frozen=True, gc=False):
    """What stands in columns and no rule changes."""

    id: bytes
    date: EventDate
    reference_id: str | None
    tags: tuple[str, ...]
    value: Decimal | None
    count: int | None


def build_event(
    raw: Mapping[str, Any],
    place: int,
    sender: Sender,
    max_age: timedelta | None,
    project: ProjectRules = DEFAULT_RULES,
    locations: LocationFinder | None = None,
) -> Event | DiscardReason:
    """The row for the raw event at `place` of its post, or why it is discarded; never fails.

    What is within `raw` is the event's from now on, and changes with it.
    """
    now = sender.accepted_utc
    members = Members(raw)
    date = members.take("date", lambda value: _date(value, now)) or EventDate(now)
    if is_too_old(date.utc, now, max_age):
        return DiscardReason.TOO_OLD
    written_type = members.take("type", as_text) or ""
    reference_id, invalid = _reference_id(members)
    message, source = members.take("message", as_text) or "", members.take("source", as_text) or ""
    tags = members.take("tags", as_tags) or ()
    value, count = members.take("value", as_number), members.take("count", as_count)
    geo = members.take("geo", as_geo)
    sent_data = members.take("data", as_object)
    additions = [*members.orphan, *((_ORIGINAL_REFERENCE_ID, text) for text in invalid)]
    data = assemble_data(sent_data, additions, sender.client)
    draft = Draft(
        effective_type(written_type, data),
        message[:MAXIMUM_TEXT_LENGTH] or None,
        source[:MAXIMUM_TEXT_LENGTH] or None,
        geo,
        data,
    )
    columns = Columns(event_id(sender.post_id, place), date, reference_id, tags, value, count)
    return finish_event(draft, columns, sender, project, locations)


def finish_event(
    draft: Draft,
    columns: Columns,
    sender: Sender,
    project: ProjectRules,
    locations: LocationFinder | None = None,
) -> Event | DiscardReason:
    """The row for a draft once all rules are applied to it, or why it is discarded."""
    names = session_names(draft.data)  # before a rule takes the user out of it
    if reason := apply_rules(draft, project):
        return reason
    if locations:
        locate(draft, locations)
    return Event(  # by position: by name it takes twice as long
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


def effective_type(written: str, data: Mapping[str, Any]) -> str:
    """The type as written; a blank one is `error` where the data tells of one, else `log`."""
    if written.strip():
        return written[:MAXIMUM_TYPE_LENGTH]
    return "error" if is_error(data) else "log"


@lru_cache(maxsize=1024)
def _client(client_ip: str, user_agent: str) -> tuple[dict[str, str], bytes]:
    client = submission_client(replace_nul(client_ip), replace_nul(user_agent))
    return client, b"," + encode_object({SUBMISSION_CLIENT: client})[1:]


def _date(value: Any, now: datetime) -> EventDate | None:
    return parse_date(value, now) if isinstance(value, str) else None


def _reference_id(members: Members) -> tuple[str | None, list[str]]:
    """The reference id, or else the sender's own id in its place; one that is invalid is told apart."""
    reference_id = members.take("reference_id", as_text)
    own_id = members.take("id", as_text)
    text = reference_id or own_id
    if not text or is_reference_id(text):
        return text, []
    return INVALID_REFERENCE_ID, [text]

"""Factories of valid events and batches: a test names only the members it is about."""

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from collector.database.search.events import StoredEvent
from collector.domain.event.outcome import DeadLetter, DeadLetterReason, Event, NormalizedBatch
from collector.domain.event.stack import plain_stack
from collector.domain.ids import PostIds, accepted_at, event_id
from tests.support.ids import next_id

PROJECT = UUID("01a00000-0000-7000-8000-000000000001")
OTHER_PROJECT = UUID("01a00000-0000-7000-8000-000000000002")
ORGANIZATION = UUID("01a00000-0000-7000-8000-00000000000a")

_TODAY = datetime(2026, 11, 23, 12, tzinfo=UTC)


def today() -> datetime:
    """Noon of the day on which events happen: far from a partition's edge, and the same in every run."""
    return _TODAY


def days_ago(number: int) -> datetime:
    """Noon of a day in the past."""
    return today() - timedelta(days=number)


def post_id(accepted: datetime | None = None) -> bytes:
    """The id of a post accepted then, by default today; ids of today ascend."""
    if accepted is None:
        return next_id(int(today().timestamp() * 1000))
    return PostIds().next(int(accepted.timestamp() * 1000))


def an_event(*, accepted: datetime | None = None, place: int = 0, **members: Any) -> Event:
    """A small log event in its own post, with its stack; ids may be UUIDs."""
    identifier = event_id(post_id(accepted), place)
    moment = accepted_at(identifier)
    values: dict[str, Any] = {
        "id": identifier,
        "project_id": PROJECT,
        "organization_id": ORGANIZATION,
        "type": "log",
        "date": moment,
        "date_offset_minutes": 0,
        "created_utc": moment,
        "message": "hello",
        "data": b'{"answer": 42}',
    }
    values = {name: _packed(value) for name, value in (values | members).items()}
    values.setdefault("stack", plain_stack(values["project_id"], values["type"] or "", values.get("source")))
    return Event(**values)


def _packed(value: Any) -> Any:
    return value.bytes if isinstance(value, UUID) else value


def as_stored(event: Event) -> StoredEvent:
    """The event as a search returns it."""
    members = {column.name: getattr(event, column.name) for column in dataclasses.fields(StoredEvent)}
    ids = ("id", "project_id", "organization_id", "stack_id")
    return StoredEvent(**members | {name: members[name] and UUID(bytes=members[name]) for name in ids})


def a_letter(**members: Any) -> DeadLetter:
    """A post that could not be unpacked."""
    values: dict[str, Any] = {
        "id": UUID(bytes=post_id()),
        "reason": DeadLetterReason.CORRUPT_ENCODING,
        "detail": "not gzip",
        "body": b"\x1f\x8b\x00\xff",
        "accepted_utc": today(),
        "project_id": PROJECT,
        "organization_id": ORGANIZATION,
    }
    return DeadLetter(**(values | members))


def normalized(*events: Event, **members: Any) -> NormalizedBatch:
    """A batch of one post with these events."""
    return NormalizedBatch(id=UUID(bytes=post_id()), post_count=1, events=list(events), **members)


async def stored(pool: asyncpg.Pool) -> list[asyncpg.Record]:
    """All events, by id."""
    rows: list[asyncpg.Record] = await pool.fetch("SELECT * FROM events ORDER BY id")
    return rows


async def usage(pool: asyncpg.Pool) -> dict[tuple[str, str], int]:
    """Events by outcome and reason, over all projects and hours."""
    rows = await pool.fetch(
        "SELECT outcome, reason, sum(events)::int AS events FROM usage GROUP BY outcome, reason"
    )
    return {(row["outcome"], row["reason"]): row["events"] for row in rows}

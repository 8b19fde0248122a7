"""The result of a trace as answers show it, and in sentences."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from collector.domain.event.build import INVALID_REFERENCE_ID
from collector.domain.ids import is_reference_id


class StoredTrace(msgspec.Struct, frozen=True, kw_only=True):
    """A stored event."""

    event_id: str
    project_id: str
    project_name: str
    stack_id: str | None
    type: str
    date: datetime
    created_utc: datetime


class WaitingTrace(msgspec.Struct, frozen=True, kw_only=True):
    """A post in the queue that contains the event, or a user's description of it."""

    project_id: str
    project_name: str | None
    kind: Literal["event", "description"]
    accepted_utc: datetime
    shard: int
    entry_id: str
    entries_before: Annotated[int, Meta(description="The number of older entries in the shard.")]
    is_in_hand: Annotated[bool, Meta(description="Whether it was delivered to a worker.")]
    worker: str | None = None
    idle_seconds: float | None = None
    deliveries: int = 0


class QueueTrace(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in the queue, and how much of it was searched; `problem` says why not all of it."""

    found: list[WaitingTrace]
    entries: int
    looked_at: int
    problem: str | None = None


class LetterTrace(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter that contains the reference id."""

    id: str
    project_id: str | None
    reason: str
    detail: str
    accepted_utc: datetime
    created_utc: datetime


class LettersTrace(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in the dead letters."""

    found: list[LetterTrace]
    looked_at: int
    is_whole: bool


class EndingTrace(msgspec.Struct, frozen=True, kw_only=True):
    """The number of the project's events with this outcome in the last 24 hours; which ones is not known."""

    outcome: str
    reason: str
    events: int


class TraceView(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a trace; `said` is the same in sentences."""

    reference_id: str
    verdict: Literal["stored", "waiting", "dead_lettered", "not_found"]
    kept_since: Annotated[datetime, Meta(description="Events that were accepted earlier are no longer kept.")]
    stored: list[StoredTrace]
    queue: QueueTrace
    dead_letters: LettersTrace
    endings: list[EndingTrace]
    said: list[str]


def sentences(view: TraceView) -> Iterator[str]:
    """What was found, what was not, and how much was searched."""
    for event in view.stored:
        yield (
            f"Stored as the event {event.event_id} of the project {event.project_name} ({event.project_id}),"
            f" type {event.type}, stack {event.stack_id}, accepted {_time(event.created_utc)}."
        )
    yield from map(_waiting_sentence, view.queue.found)
    for letter in view.dead_letters.found:
        yield (
            f"The dead letter {letter.id} contains its reference id, reason {letter.reason}: {letter.detail}"
            f" Project {letter.project_id}, accepted {_time(letter.accepted_utc)}."
        )
    if view.verdict == "not_found":
        yield (
            f"Not found in the queue, in the dead letters or among the events that were accepted since"
            f" {_time(view.kept_since)}."
        )
        if not is_reference_id(view.reference_id):
            yield (
                "This is not a valid reference id (8 to 100 letters, digits or `-`): an event with it is"
                f" stored with {INVALID_REFERENCE_ID}, and the filter data.InvalidReferenceId:... finds it."
            )
    for ending in view.endings:
        reason = f" ({ending.reason})" if ending.reason else ""
        yield (
            f"Of the project's events of the last 24 hours, {ending.events:,} had the outcome"
            f" {ending.outcome}{reason}; which ones is not known."
        )
    queue, letters = view.queue, view.dead_letters
    if queue.problem:
        yield f"Of {queue.entries:,} queue entries, {queue.looked_at:,} were searched: {queue.problem}."
    if not letters.is_whole:
        yield f"Only {letters.looked_at:,} dead letters were searched, or some could not be decompressed."


def _waiting_sentence(post: WaitingTrace) -> str:
    what = "A description of it waits" if post.kind == "description" else "It waits"
    if not post.is_in_hand:
        delivery = "not yet delivered to a worker"
    elif post.worker is None:
        delivery = "delivered to a worker"
    else:
        delivery = (
            f"delivered to the worker {post.worker} {post.idle_seconds or 0:.0f} s ago, delivered"
            f" {post.deliveries} times"
        )
    return (
        f"{what} in the queue, shard {post.shard}, entry {post.entry_id}, {post.entries_before:,} before it,"
        f" {delivery}; project {post.project_name} ({post.project_id}), accepted {_time(post.accepted_utc)}."
    )


def _time(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")

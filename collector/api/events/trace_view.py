"""A trace as it is answered, and the same in sentences."""

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
    """A post in the queue that holds such an event, or a user's description of one."""

    project_id: str
    project_name: str | None
    kind: Literal["event", "description"]
    accepted_utc: datetime
    shard: int
    entry_id: str
    entries_before: Annotated[int, Meta(description="How many entries of its shard are older.")]
    is_in_hand: Annotated[bool, Meta(description="Whether it was given to a worker.")]
    worker: str | None = None
    idle_seconds: float | None = None
    deliveries: int = 0


class QueueTrace(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in the queue, and in how much of it; `problem` is why the rest was not looked at."""

    found: list[WaitingTrace]
    entries: int
    looked_at: int
    problem: str | None = None


class LetterTrace(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter in whose bytes the reference id stands."""

    id: str
    project_id: str | None
    reason: str
    detail: str
    accepted_utc: datetime
    created_utc: datetime


class LettersTrace(msgspec.Struct, frozen=True, kw_only=True):
    """What was found among the dead letters."""

    found: list[LetterTrace]
    looked_at: int
    is_whole: bool


class EndingTrace(msgspec.Struct, frozen=True, kw_only=True):
    """How many events of the project ended so in the last 24 hours; which ones is not kept."""

    outcome: str
    reason: str
    events: int


class TraceView(msgspec.Struct, frozen=True, kw_only=True):
    """What is known; `said` is the same in sentences."""

    reference_id: str
    verdict: Literal["stored", "waiting", "dead_lettered", "not_found"]
    kept_since: Annotated[datetime, Meta(description="What was accepted before is no longer kept.")]
    stored: list[StoredTrace]
    queue: QueueTrace
    dead_letters: LettersTrace
    outcome_counts: list[EndingTrace]
    said: list[str]


def sentences(view: TraceView) -> Iterator[str]:
    """What was found, what was not, and how far the look went."""
    yield from map(_of_stored, view.stored)
    yield from map(_of_waiting, view.queue.found)
    yield from map(_of_letter, view.dead_letters.found)
    if view.verdict == "not_found":
        yield (
            f"Not found: in the queue, in the dead letters and among the events that were accepted since"
            f" {_moment(view.kept_since)}."
        )
        if not is_reference_id(view.reference_id):
            yield (
                "This is no reference id (8 to 100 letters, digits or `-`): an event with it is stored as"
                f" {INVALID_REFERENCE_ID}, and the filter data.InvalidReferenceId:... finds it."
            )
    for ending in view.outcome_counts:
        reason = f" ({ending.reason})" if ending.reason else ""
        yield (
            f"Of the project's events of the last 24 hours {ending.events:,} ended as"
            f" {ending.outcome}{reason}; which ones is not kept."
        )
    queue, letters = view.queue, view.dead_letters
    if queue.problem:
        yield f"Of {queue.entries:,} entries in the queue {queue.looked_at:,} were seen: {queue.problem}."
    if not letters.is_whole:
        yield f"Only {letters.looked_at:,} dead letters were looked at, or some could not be unpacked."


def _of_stored(event: StoredTrace) -> str:
    return (
        f"Stored as the event {event.event_id} of the project {event.project_name} ({event.project_id}),"
        f" type {event.type}, stack {event.stack_id}, accepted {_moment(event.created_utc)}."
    )


def _of_waiting(post: WaitingTrace) -> str:
    what = "A description of it waits" if post.kind == "description" else "It waits"
    if not post.is_in_hand:
        hands = "not yet given to a worker"
    elif post.worker is None:
        hands = "in the hands of a worker"
    else:
        hands = (
            f"given to the worker {post.worker} {post.idle_seconds or 0:.0f} s ago, given out"
            f" {post.deliveries} times"
        )
    return (
        f"{what} in the queue, shard {post.shard}, entry {post.entry_id}, {post.entries_before:,} before it,"
        f" {hands}; project {post.project_name} ({post.project_id}), accepted {_moment(post.accepted_utc)}."
    )


def _of_letter(letter: LetterTrace) -> str:
    return (
        f"Its reference id stands in the dead letter {letter.id}, reason {letter.reason}: {letter.detail}"
        f" Project {letter.project_id}, accepted {_moment(letter.accepted_utc)}."
    )


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")

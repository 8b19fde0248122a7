"""Traces what happened to an event, by its reference id (`GET /admin/trace`, `headrace trace`).

Searches the queue, the stored events and the dead letters, in the order in which an event passes through
them: an event that moves on during the search is found later. Of duplicates and discarded events only counts
are kept.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import Final, Literal
from uuid import UUID

import asyncpg
import msgspec
from aiohttp import web

from collector.api.auth.authentication import IDENTITY
from collector.api.auth.searching import searching
from collector.api.core.route import Role, Route
from collector.api.core.service import API, Api
from collector.api.events.trace_view import (
    EndingTrace,
    LettersTrace,
    LetterTrace,
    QueueTrace,
    StoredTrace,
    TraceView,
    WaitingTrace,
    sentences,
)
from collector.api.manage.projects import reachable_project
from collector.api.request.parameters import query_parameters
from collector.broker.errors import BrokerUnavailable
from collector.broker.queue.queue_look import WaitingEntry
from collector.database.search.traces import (
    OutcomeCount,
    TracedEvent,
    TracedLetter,
    letters_with,
    projects_to_trace,
    stored_with_reference,
    unstored_outcomes,
)
from collector.domain.errors import BadRequest, NotFound
from collector.domain.event.outcome import DeadLetter, Event
from collector.domain.ids import accepted_at
from collector.domain.intake.decompress import UnstorablePost, decompress
from collector.domain.intake.normalize import Rules, normalize
from collector.domain.jsonb.check import is_storable_text
from collector.domain.post import USER_DESCRIPTION, Post
from collector.http.operation import Answer, Parameter, documented
from collector.http.responses import json_response

_LONGEST_REFERENCE: Final = 1000
_SHOWN: Final = 100
"""The maximum number of results of each kind."""
_LOOK_SECONDS: Final = 5.0
_LOOK_ENTRIES: Final = 5000
_LOOK_BYTES: Final = 256 << 20
"""How many bytes of posts, decompressed, are searched in the queue."""
_CUT_SHORT: Final = "the search started with the oldest and was cut short"
_POST_BYTES: Final = 32 << 20
"""Posts that are larger after decompression are not searched."""
_DAY: Final = timedelta(hours=24)


@documented(
    "Admin",
    {200: Answer(TraceView)},
    parameters=(
        Parameter("reference", "The reference id.", example="order-4711", is_required=True),
        Parameter("project", "The id of a project; all projects by default."),
    ),
    refusals=(NotFound,),
)
async def get_trace(request: web.Request) -> web.Response:
    """Trace an event by its reference id: stored, in the queue, dead-lettered or not found."""
    api, parameters = request.app[API], query_parameters(request)
    reference_id = parameters.get("reference", "")
    check_reference(reference_id)
    async with searching(request) as connection:
        project_id = None
        if "project" in parameters:
            project_id = (await reachable_project(connection, request[IDENTITY], parameters["project"])).id
        return json_response(await trace(api, connection, reference_id, project_id))


def check_reference(text: str) -> None:
    """Raise BadRequest for a text that no stored event can have as its reference id."""
    if not text or len(text) > _LONGEST_REFERENCE or not is_storable_text(text):
        raise BadRequest(
            f"The parameter `reference` must be a reference id: 1 to {_LONGEST_REFERENCE} characters of text."
        )


async def trace(
    api: Api, connection: asyncpg.Connection, reference_id: str, project_id: UUID | None
) -> TraceView:
    """Everything that is known of the reference id, in one project or in all. Raises DatabaseUnavailable."""
    names = await projects_to_trace(connection)
    queue = await _in_queue(api, reference_id, project_id, names)
    looked = names if project_id is None else {project_id: names.get(project_id, "")}
    stored = await stored_with_reference(connection, looked, reference_id, _SHOWN)
    letters = await letters_with(connection, project_id, reference_id, _SHOWN)
    holding, all_unpacked = await asyncio.to_thread(_letters_holding, letters.packed, reference_id)
    endings: list[OutcomeCount] = []
    if project_id is not None and not (stored or queue.found):
        endings = await unstored_outcomes(connection, project_id, api.clock.now() - _DAY)
    # The furthest stage that it has reached.
    verdict: Literal["stored", "waiting", "dead_lettered", "not_found"] = "not_found"
    if stored:
        verdict = "stored"
    elif queue.found:
        verdict = "waiting"
    elif letters.found or holding:
        verdict = "dead_lettered"
    view = TraceView(
        reference_id=reference_id,
        verdict=verdict,
        kept_since=api.oldest_kept,
        stored=[_stored(event) for event in stored],
        queue=queue,
        dead_letters=LettersTrace(
            found=[_letter(letter) for letter in (*letters.found, *holding)],
            looked_at=letters.searched,
            is_whole=letters.is_whole and all_unpacked,
        ),
        endings=[EndingTrace(**ending._asdict()) for ending in endings],
        said=[],
    )
    return msgspec.structs.replace(view, said=list(sentences(view)))


async def _in_queue(
    api: Api, reference_id: str, project_id: UUID | None, names: Mapping[UUID, str]
) -> QueueTrace:
    """Search the queue from its oldest entry on, within bounds of time, entries and bytes."""
    found: list[WaitingTrace] = []
    entries = looked_at = weight = 0
    problem, until = None, api.clock.monotonic() + _LOOK_SECONDS
    try:
        async with asyncio.timeout(_LOOK_SECONDS):
            entries = await api.queue_look.length()
            async with aclosing(api.queue_look.entries()) as waiting:
                async for entry in waiting:
                    # Checks the clock as well: the driver may swallow the timeout's cancellation.
                    if (
                        looked_at >= _LOOK_ENTRIES
                        or weight >= _LOOK_BYTES
                        or len(found) >= _SHOWN
                        or api.clock.monotonic() >= until
                    ):
                        problem = _CUT_SHORT
                        break
                    looked_at += 1
                    if entry.batch is None:
                        problem = "one or more cannot be read by this version"
                        continue
                    size, holding = await asyncio.to_thread(
                        _posts_holding, entry.batch.posts, reference_id, project_id
                    )
                    weight += max(size, entry.size)
                    found += [await _waiting(api, entry, post, names) for post in holding]
    except TimeoutError:
        problem = _CUT_SHORT
    except BrokerUnavailable as error:
        problem = f"Redis cannot be read: {error}"
    # The length was read before: entries may have arrived since.
    return QueueTrace(
        found=found[:_SHOWN], entries=max(entries, looked_at), looked_at=looked_at, problem=problem
    )


def _posts_holding(
    posts: Sequence[Post], reference_id: str, project_id: UUID | None
) -> tuple[int, list[Post]]:
    """The decompressed size of the project's posts, and those that contain the reference id."""
    size, holding = 0, []
    for post in posts:
        if project_id is not None and post.project_id != project_id.bytes:
            continue
        body = _unpacked(post.body, post.content_encoding)
        size += len(post.body if body is None else body)
        if _holds(post, body, reference_id):
            holding.append(post)
    return size, holding


def _holds(post: Post, body: bytes | None, reference_id: str) -> bool:
    if post.kind == USER_DESCRIPTION:
        return post.reference_id == reference_id
    # Normalizing a post takes a hundred times as long as seeing that the id is not in it.
    if body is None or reference_id.encode() not in body:
        return False
    results = normalize(post, Rules(_POST_BYTES, max_age=None)).results
    return any(
        isinstance(result, DeadLetter) or (isinstance(result, Event) and result.reference_id == reference_id)
        for result in results
    )


def _unpacked(body: bytes, encoding: str) -> bytes | None:
    try:
        return decompress(body, encoding, _POST_BYTES)
    except UnstorablePost:
        return None


async def _waiting(api: Api, entry: WaitingEntry, post: Post, names: Mapping[UUID, str]) -> WaitingTrace:
    delivery = await api.queue_look.delivery(entry.shard, entry.id) if entry.is_in_hand else None
    return WaitingTrace(
        project_id=post.project_id.hex(),
        project_name=names.get(UUID(bytes=post.project_id)),
        kind="description" if post.kind == USER_DESCRIPTION else "event",
        accepted_utc=accepted_at(post.id),
        shard=entry.shard,
        entry_id=entry.id,
        entries_before=entry.before,
        is_in_hand=entry.is_in_hand,
        worker=delivery.consumer if delivery else None,
        idle_seconds=delivery.idle_seconds if delivery else None,
        deliveries=delivery.deliveries if delivery else 0,
    )


def _letters_holding(packed: Sequence[TracedLetter], reference_id: str) -> tuple[list[TracedLetter], bool]:
    """The compressed letters that contain the reference id, and whether all could be decompressed."""
    bodies = [(letter, _unpacked(letter.body, letter.content_encoding)) for letter in packed]
    holding = [letter for letter, body in bodies if body is not None and reference_id.encode() in body]
    return holding, all(body is not None for _, body in bodies)


def _stored(event: TracedEvent) -> StoredTrace:
    return StoredTrace(
        event_id=event.id.hex,
        project_id=event.project_id.hex,
        project_name=event.project_name,
        stack_id=None if event.stack_id is None else event.stack_id.hex,
        type=event.type,
        date=event.date,
        created_utc=event.created_utc,
    )


def _letter(letter: TracedLetter) -> LetterTrace:
    return LetterTrace(
        id=letter.id.hex,
        project_id=None if letter.project_id is None else letter.project_id.hex,
        reason=letter.reason,
        detail=letter.detail,
        accepted_utc=letter.accepted_utc,
        created_utc=letter.created_utc,
    )


ROUTES: Final = (Route("GET", "/admin/trace", get_trace, Role.GLOBAL),)

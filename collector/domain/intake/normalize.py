"""Normalizes a post: every event in it becomes exactly one row, discard or dead letter.

Pure: the same post and rules give the same result, including ids, so a replay changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from math import inf
from time import thread_time
from typing import Final
from uuid import UUID

import msgspec

from collector.domain.event.build import Sender, build_event
from collector.domain.event.geo import LocationFinder
from collector.domain.event.outcome import (
    DeadLetter,
    DeadLetterReason,
    Discard,
    DiscardReason,
    Event,
    HeldPost,
    NormalizedBatch,
    UserDescription,
)
from collector.domain.ids import event_id
from collector.domain.intake.body import RawEvent, TooDeep, raw_events, too_many
from collector.domain.intake.cost import BYTES_PER_EVENT, most_events
from collector.domain.intake.decompress import TooCostly, UnstorablePost, decompress
from collector.domain.intake.description import build_descriptions
from collector.domain.intake.fast_path import build_plain_event, decode_plain_events
from collector.domain.intake.legacy_v1 import upgrade
from collector.domain.jsonb.text import MAXIMUM_DEPTH, has_more_objects, replace_nul
from collector.domain.post import LEGACY_API, USER_DESCRIPTION, Post
from collector.domain.project.rules import DEFAULT_RULES, ProjectRules

_encoder: Final = msgspec.msgpack.Encoder()
MAX_EXPANSION: Final = 10
"""How many times the limit of a compressed post its decompressed body may be."""
_MEMORY_OF_A_RESULT: Final = 1000
_COPIES_OF_A_BODY: Final = 2
"""Measured until the transaction ends: 600 to 1,300 bytes for each event, and its data twice."""
_EVENTS_PER_CHECK: Final = 32
"""Of the fast path: a check takes a fraction of a microsecond, and so does an event."""

Result = Event | DeadLetter | Discard | UserDescription | HeldPost


@dataclass(frozen=True, slots=True)
class Rules:
    """Settings that apply to events. `max_age` None means no limit, `locations` None no geo lookup.

    `seconds_per_post` is the processor time after which a post is a dead letter: no rule takes that long for
    what people send.
    """

    unpacked_limit_bytes: int
    max_age: timedelta | None
    locations: LocationFinder | None = None
    seconds_per_post: float = 3.0

    def accepting(self, body_limit_bytes: int) -> "Rules":
        """The rules for a post accepted under this limit: never stricter than ingest was."""
        unpacked_bytes = body_limit_bytes * MAX_EXPANSION
        return (
            self
            if unpacked_bytes <= self.unpacked_limit_bytes
            else replace(self, unpacked_limit_bytes=unpacked_bytes)
        )


def rules_from_settings(
    body_limit_bytes: int, max_event_age_days: int, locations: LocationFinder | None = None
) -> Rules:
    """The rules from the settings; an age of 0 days means no limit."""
    return Rules(
        unpacked_limit_bytes=body_limit_bytes * MAX_EXPANSION,
        max_age=timedelta(days=max_event_age_days) if max_event_age_days else None,
        locations=locations,
    )


class NormalizedPost(msgspec.Struct, frozen=True, gc=False):
    """One result per event of a post, in order, or a single dead letter if the post cannot be stored.

    A post with a user's description has at most that one result. `weight` estimates, in events, the memory
    and work that the post takes; discarded events count as well. `memory_bytes` estimates what the results
    take until they are stored.
    """

    results: list[Result]
    weight: int
    memory_bytes: int


def make_batch(batch_id: bytes, posts: Sequence[NormalizedPost]) -> NormalizedBatch:
    """Collect the results of the posts of one post batch."""
    batch = NormalizedBatch(UUID(bytes=batch_id), len(posts))
    for post in posts:
        for result in post.results:
            if isinstance(result, Event):  # the others are rare
                batch.events.append(result)
            elif isinstance(result, DeadLetter):
                batch.dead_letters.append(result)
            elif isinstance(result, UserDescription):
                batch.descriptions.append(result)
            elif isinstance(result, HeldPost):
                batch.held.append(result)
            else:
                batch.discarded[result] += 1
    return batch


def normalize(
    post: Post, rules: Rules, project: ProjectRules | None = DEFAULT_RULES, *, is_held: bool = False
) -> NormalizedPost:
    """Normalize a post; `project` has the rules of its project, None if that was deleted.

    The weight does not depend on `is_held`, so that a replay splits an entry as the first read did.
    """
    sender = Sender.of(post)
    costly = 0
    try:
        body = decompress(post.body, post.content_encoding, rules.unpacked_limit_bytes)
        results = _results(post, body, sender, rules, project or DEFAULT_RULES)
    except TooCostly as problem:
        results, costly = [_dead_post(post, sender, problem)], problem.events
    except UnstorablePost as problem:
        body, results = post.body, [_dead_post(post, sender, problem)]
    # Without its project every event is discarded; they were built because each counts as one discard.
    if project is None:
        gone = _discard(sender, DiscardReason.PROJECT_GONE)
        results = [gone for result in results if not isinstance(result, UserDescription)]
    # A costly post weighs as much as its events: a replay must split the entry as a faster machine did.
    weight = max(len(results), costly, len(body) // BYTES_PER_EVENT)
    memory_bytes = _MEMORY_OF_A_RESULT * len(results) + _COPIES_OF_A_BODY * len(body)
    # A held post is kept whole and normalized again later; a description needs no rules to wait for.
    if is_held and not post.kind:
        return hold(post, rules, weight)
    return NormalizedPost(results, weight, memory_bytes)


def hold(post: Post, rules: Rules, weight: int) -> NormalizedPost:
    """The post kept as it came, to be normalized again later."""
    held = HeldPost(post.id, post.project_id, _encoder.encode(post), rules.unpacked_limit_bytes)
    return NormalizedPost([held], weight, _COPIES_OF_A_BODY * len(post.body))


def _results(post: Post, body: bytes, sender: Sender, rules: Rules, project: ProjectRules) -> list[Result]:
    if post.kind == USER_DESCRIPTION:
        return list(build_descriptions(post, body, project))
    if post.kind:
        raise UnstorablePost(
            DeadLetterReason.UNKNOWN_KIND, f"This version does not support posts of kind {post.kind!r}."
        )
    # The fast path implements neither version 1 nor rules that change data nor locations.
    limit = most_events(len(post.body))
    # Each object has a brace: too many of them are found before anything is made of them.
    if body.count(b"}") > limit and has_more_objects(body, limit):
        raise too_many(limit)
    is_usual = post.api_version != LEGACY_API and project.leave_data_alone and rules.locations is None
    plain = decode_plain_events(body, post.content_type) if is_usual else None
    if plain is not None:
        results: list[Result] = []
        if len(plain) > limit:
            raise too_many(limit)
        budget = _Budget(rules.seconds_per_post, plain)
        for index, each in enumerate(plain):
            if index and not index % _EVENTS_PER_CHECK:
                budget.check()
            if each is not None:
                result = build_plain_event(each, index, sender, rules.max_age, project)
                results.append(result if isinstance(result, Event) else _discard(sender, result))
        return results
    return _slow_results(raw_events(body, post.content_type, limit), post, sender, rules, project)


def _slow_results(
    found: Sequence[RawEvent | None], post: Post, sender: Sender, rules: Rules, project: ProjectRules
) -> list[Result]:
    """A null counts as an index, so that both paths give an event the same id."""
    results: list[Result] = []
    budget = _Budget(rules.seconds_per_post, found)
    for index, raw in enumerate(found):
        if index:
            budget.check()
        if isinstance(raw, TooDeep):
            results.append(_dead_event(raw, index, post, sender))
        elif raw is not None:
            event = upgrade(raw) if post.api_version == LEGACY_API else raw
            result = build_event(event, index, sender, rules.max_age, project, rules.locations)
            results.append(result if isinstance(result, Event) else _discard(sender, result))
    return results


class _Budget:
    """The processor time that building the events of one post may take; checked between events."""

    def __init__(self, seconds: float, events: Sequence[object]) -> None:
        self._seconds = seconds
        # A look at this clock is a system call: most posts have one event.
        self._until = thread_time() + seconds if len(events) > 1 else inf
        self._events = events

    def check(self) -> None:
        """Raise TooCostly once the time is used up."""
        if thread_time() > self._until:
            number = sum(event is not None for event in self._events)
            detail = f"Its {number} events take more than {self._seconds:g} s of processor time."
            raise TooCostly(detail, number)


def _discard(sender: Sender, reason: DiscardReason) -> Discard:
    hour = sender.accepted_utc.replace(minute=0, second=0, microsecond=0)
    return Discard(UUID(bytes=sender.project_id), hour, reason)


def _dead_post(post: Post, sender: Sender, problem: UnstorablePost) -> DeadLetter:
    """A dead letter with the bytes of the whole post as received."""
    return DeadLetter(
        id=UUID(bytes=event_id(post.id, 0)),
        reason=problem.reason,
        detail=problem.detail,
        body=post.body,
        accepted_utc=sender.accepted_utc,
        project_id=UUID(bytes=post.project_id),
        organization_id=UUID(bytes=post.organization_id),
        content_type=replace_nul(post.content_type),
        content_encoding=replace_nul(post.content_encoding),
        user_agent=replace_nul(post.user_agent),
        client_ip=replace_nul(post.client_ip),
        api_version=post.api_version,
        kind=replace_nul(post.kind),
        reference_id=replace_nul(post.reference_id),
    )


def _dead_event(raw: TooDeep, index: int, post: Post, sender: Sender) -> DeadLetter:
    """A dead letter with the UTF-8 JSON of one event of the post."""
    return DeadLetter(
        id=UUID(bytes=event_id(post.id, index)),
        reason=DeadLetterReason.TOO_DEEP,
        detail=f"The event nests deeper than {MAXIMUM_DEPTH} levels.",
        body=raw.text.encode(),
        accepted_utc=sender.accepted_utc,
        project_id=UUID(bytes=post.project_id),
        organization_id=UUID(bytes=post.organization_id),
        content_type="application/json",
        user_agent=replace_nul(post.user_agent),
        client_ip=replace_nul(post.client_ip),
        api_version=post.api_version,
    )

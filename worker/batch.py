"""Turns stream entries into normalized batches. Pure: reading an entry again gives the same batches.

An entry normally becomes one batch, stored in one transaction. But a kilobyte can hold a thousand events, and
an entry hundreds of such posts: a heavy entry is split into one part per post, followed by the batch itself,
which then holds no events. The split depends on the posts alone.

An entry with a post that cannot be normalized is always split. Such a post weighs nothing, so that the entry
takes no more pieces than without the bug: then a split one finds its parts stored, a whole one its batch.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import chain
from operator import attrgetter
from typing import Final
from uuid import UUID

import msgspec

from collector.broker.queue.post_stream import StreamEntry
from collector.domain.event.outcome import DeadLetter, DeadLetterReason, NormalizedBatch
from collector.domain.ids import derived_id, lowest_id_at_ms
from collector.domain.intake.normalize import NormalizedPost, Rules, hold, make_batch, normalize
from collector.domain.post import PostBatch
from collector.domain.project.rules import ProjectRules

TRANSACTION_WEIGHT: Final = 20_000
"""In events: a transaction takes no further posts once it has reached this weight."""

_LARGE_BYTES: Final = 256 * 1024
_MOST_UNPACKED: Final = {"": 1, "identity": 1, "gzip": 1032, "deflate": 1032}
"""The most bytes that one byte can unpack to; in any other encoding a few bytes can unpack to megabytes."""
_ID_LENGTH: Final = 16
_LAST_MS: Final = int(datetime(9999, 1, 1, tzinfo=UTC).timestamp() * 1000)
_FIRST_ID_BEYOND: Final = lowest_id_at_ms(_LAST_MS).bytes
_MALFORMED: Final = "The ids in the entry are not ours."

_id: Final = attrgetter("id")
_body: Final = attrgetter("body")
_encoding: Final = attrgetter("content_encoding")
_project_id: Final = attrgetter("project_id")
_organization_id: Final = attrgetter("organization_id")


@dataclass(frozen=True, slots=True)
class Piece:
    """As much of an entry as one transaction takes; `next_post` is where to continue, None at its end.

    `memory_bytes` estimates what the batches take until they are stored.
    `bugs` are the exceptions that normalizing raised, by project; their posts are held.
    """

    batches: list[NormalizedBatch]
    weight: int
    memory_bytes: int = 0
    next_post: int | None = None
    bugs: Mapping[bytes, Exception] = field(default_factory=dict)


def is_large(entry: StreamEntry) -> bool:
    """Whether normalizing the entry may take too long for the event loop."""
    if entry.batch is None:
        return False
    encodings = set(map(_encoding, entry.batch.posts))
    unpacks_to = max((_MOST_UNPACKED.get(encoding, _LARGE_BYTES) for encoding in encodings), default=1)
    return body_bytes(entry) * unpacks_to > _LARGE_BYTES


def body_bytes(entry: StreamEntry) -> int:
    """The size of all bodies in the entry, as sent."""
    return 0 if entry.batch is None else sum(map(len, map(_body, entry.batch.posts)))


def project_ids(entries: Iterable[StreamEntry]) -> set[bytes]:
    """The ids of the projects that the posts in the entries belong to."""
    batches = [entry.batch for entry in entries if entry.batch is not None]
    found = set(map(_project_id, chain.from_iterable(batch.posts for batch in batches)))
    return {id_ for id_ in found if len(id_) == _ID_LENGTH}


def normalize_piece(
    entry: StreamEntry,
    first_post: int,
    rules: Rules,
    projects: Mapping[bytes, ProjectRules],
    held: Collection[bytes] = (),
) -> Piece:
    """Normalize the entry's posts from `first_post` on, up to the weight of one transaction.

    `projects` holds the rules of the projects that exist; posts of `held` projects are kept as they came.
    An unreadable entry becomes a dead letter.
    """
    if entry.batch is None or not _has_valid_ids(entry.batch):
        return Piece([_dead_letter_batch(entry)], 1)
    posts = entry.batch.posts[first_post:]
    found: list[NormalizedPost] = []
    bugs: dict[bytes, Exception] = {}
    weight = memory_bytes = 0
    for post in posts:
        is_held = post.project_id in held
        try:
            normalized = normalize(post, rules, projects.get(post.project_id), is_held=is_held)
        except Exception as error:  # noqa: BLE001 - a bug of ours delays this post, and no other
            bugs[post.project_id] = error
            normalized = hold(post, rules, 0)
        found.append(normalized)
        weight += found[-1].weight
        memory_bytes += found[-1].memory_bytes
        if weight >= TRANSACTION_WEIGHT:
            break
    is_end = len(found) == len(posts)
    # The whole entry fits: it is one batch.
    if is_end and not first_post and not bugs:
        return Piece([_placed(entry, make_batch(entry.batch.id, found))], weight, memory_bytes)
    # Otherwise each post is a part under its own id, and the batch follows the last part.
    parts = [
        replace(_placed(entry, make_batch(post.id, [normalized])), is_part=True)
        for post, normalized in zip(posts, found, strict=False)
    ]
    if not is_end:
        return Piece(parts, weight, memory_bytes, first_post + len(found), bugs)
    whole = NormalizedBatch(UUID(bytes=entry.batch.id), len(entry.batch.posts))
    return Piece([*parts, _placed(entry, whole)], weight, memory_bytes, bugs=bugs)


def _placed(entry: StreamEntry, batch: NormalizedBatch) -> NormalizedBatch:
    return replace(batch, shard=entry.shard, entry_id=entry.id)


def _has_valid_ids(batch: PostBatch) -> bool:
    """Whether all ids can become UUIDs and times; unchecked, one entry could stop the worker for good."""
    ids = list(map(_id, batch.posts))
    owners = {*map(_project_id, batch.posts), *map(_organization_id, batch.posts)}
    lengths = {len(batch.id), *map(len, ids), *map(len, owners)}
    return lengths == {_ID_LENGTH} and max(ids, default=b"") < _FIRST_ID_BEYOND


def _dead_letter_batch(entry: StreamEntry) -> NormalizedBatch:
    """One dead letter for the whole entry, which is unreadable or was given up."""
    milliseconds = min(int(entry.id.partition("-")[0]), _LAST_MS)
    body = entry.raw if entry.batch is None else msgspec.msgpack.encode(entry.batch)
    is_given_up = len(entry.batch_id) == _ID_LENGTH
    id_ = derived_id(milliseconds, hashlib.sha256(f"{entry.shard}:{entry.id}:".encode() + body).digest())
    letter = DeadLetter(
        id=id_,
        reason=DeadLetterReason.NEVER_FINISHED if is_given_up else DeadLetterReason.UNREADABLE_ENTRY,
        detail=entry.problem or _MALFORMED,
        body=body,
        accepted_utc=datetime.fromtimestamp(milliseconds / 1000, UTC),
    )
    # An unreadable entry has no id: one derived from its content gives the same letter when it is read again.
    # An entry that was given up may have been stored: then the store knows its batch id and drops the letter.
    batch_id = UUID(bytes=entry.batch_id) if is_given_up else id_
    return NormalizedBatch(batch_id, entry.post_count, entry.shard, entry.id, dead_letters=[letter])

"""From stream entries to understood batches. Pure: an entry that is read again gives the same batches again.

An entry is one batch, unless that is too much for one transaction: a kilobyte can hold 100,000 events, and
an entry hundreds of such posts. Then each of its posts is a part, and the batch itself follows the last one.
Which it is depends on the posts alone.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain
from operator import attrgetter
from typing import Final
from uuid import UUID

import msgspec

from collector.broker.post_stream import StreamEntry
from collector.domain.event.outcome import DeadLetter, DeadLetterReason, NormalizedBatch
from collector.domain.ids import derived_id, lowest_id_at_ms
from collector.domain.intake.normalize import NormalizedPost, Rules, make_batch, normalize
from collector.domain.post import Post, PostBatch
from collector.domain.project.rules import ProjectRules

TRANSACTION_WEIGHT: Final = 20_000
"""In events: when so much is in hand it is stored."""

_LARGE_BYTES: Final = 256 * 1024
_MOST_UNPACKED: Final = {"": 1, "identity": 1, "gzip": 1032, "deflate": 1032}
"""What a byte can open to; of any other encoding a few bytes can open to megabytes."""
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
    """As much of an entry as is understood at once; `next_post` is where it goes on, None at its end."""

    batches: list[NormalizedBatch]
    weight: int
    next_post: int | None = None


def is_large(entry: StreamEntry) -> bool:
    """Whether understanding it may take so long that nothing else should wait for it."""
    if entry.batch is None:
        return False
    encodings = set(map(_encoding, entry.batch.posts))
    opens_to = max((_MOST_UNPACKED.get(encoding, _LARGE_BYTES) for encoding in encodings), default=1)
    return bytes_of(entry) * opens_to > _LARGE_BYTES


def bytes_of(entry: StreamEntry) -> int:
    """How much the posts in it have for bodies, as they were sent."""
    return 0 if entry.batch is None else sum(map(len, map(_body, entry.batch.posts)))


def projects_of(entries: Iterable[StreamEntry]) -> set[bytes]:
    """The ids of the projects that posts in the entries are for."""
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
    """What became of the entry's posts from one of them on; one that cannot be read is a dead letter.

    `projects` are those that there are; posts of the `held` ones are kept as they came.
    """
    if entry.batch is None or not _has_sound_ids(entry.batch):
        return Piece([_unreadable(entry)], 1)
    posts = entry.batch.posts[first_post:]
    found: list[NormalizedPost] = []
    weight = 0
    for post in posts:
        is_held = post.project_id in held
        found.append(normalize(post, rules, projects.get(post.project_id), is_held=is_held))
        weight += found[-1].weight
        if weight >= TRANSACTION_WEIGHT:
            break
    is_end = len(found) == len(posts)
    if is_end and not first_post:
        return Piece([_of(entry, make_batch(entry.batch.id, found))], weight)
    batches = [_part(entry, post, of_post) for post, of_post in zip(posts, found, strict=False)]
    if not is_end:
        return Piece(batches, weight, first_post + len(found))
    whole = NormalizedBatch(UUID(bytes=entry.batch.id), len(entry.batch.posts))
    return Piece([*batches, _of(entry, whole)], weight)


def _part(entry: StreamEntry, post: Post, found: NormalizedPost) -> NormalizedBatch:
    return replace(_of(entry, make_batch(post.id, [found])), is_part=True)


def _of(entry: StreamEntry, batch: NormalizedBatch) -> NormalizedBatch:
    return replace(batch, shard=entry.shard, entry_id=entry.id)


def _has_sound_ids(batch: PostBatch) -> bool:
    """Whether ids can become UUIDs and times; otherwise one entry could stop the worker for good."""
    ids = list(map(_id, batch.posts))
    owners = {*map(_project_id, batch.posts), *map(_organization_id, batch.posts)}
    lengths = {len(batch.id), *map(len, ids), *map(len, owners)}
    return lengths == {_ID_LENGTH} and max(ids, default=b"") < _FIRST_ID_BEYOND


def _unreadable(entry: StreamEntry) -> NormalizedBatch:
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
    # Of one that was given up the batch may be stored: then the store knows its id, and there is no letter.
    batch_id = UUID(bytes=entry.batch_id) if is_given_up else id_
    return NormalizedBatch(batch_id, entry.post_count, entry.shard, entry.id, dead_letters=[letter])

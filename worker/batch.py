"""From stream entries to understood batches. Pure: an entry that is read again gives the same batch again."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

import msgspec

from collector.broker.post_stream import Entry
from collector.domain.identifiers import accepted_ms, derived_id
from collector.domain.outcome import DeadLetter, DeadLetterReason, UnderstoodBatch
from collector.domain.post import PostBatch
from collector.domain.understanding import Rules, understand_batch

_ID_LENGTH: Final = 16
_LAST_MS: Final = int(datetime(9999, 1, 1, tzinfo=UTC).timestamp() * 1000)
_MALFORMED: Final = "The ids in the entry are not ours."


def understood(entries: Sequence[Entry], rules: Rules) -> list[UnderstoodBatch]:
    """What became of each entry, in order; one that cannot be read is a single dead letter."""
    return [
        replace(
            understand_batch(entry.batch.id, entry.batch.posts, rules), shard=entry.shard, entry_id=entry.id
        )
        if entry.batch is not None and _has_sound_ids(entry.batch)
        else _unreadable(entry)
        for entry in entries
    ]


def _has_sound_ids(batch: PostBatch) -> bool:
    """Whether ids can become UUIDs and times; otherwise one entry could stop the worker for good."""
    lengths = {len(batch.id)}
    for post in batch.posts:
        lengths |= {len(post.id), len(post.project_id), len(post.organization_id)}
    return lengths == {_ID_LENGTH} and all(accepted_ms(post.id) < _LAST_MS for post in batch.posts)


def _unreadable(entry: Entry) -> UnderstoodBatch:
    milliseconds = min(int(entry.id.partition("-")[0]), _LAST_MS)
    body = entry.raw if entry.batch is None else msgspec.msgpack.encode(entry.batch)
    letter = DeadLetter(
        id=derived_id(milliseconds, hashlib.sha256(f"{entry.shard}:{entry.id}:".encode() + body).digest()),
        reason=DeadLetterReason.UNREADABLE_ENTRY,
        detail=entry.problem or _MALFORMED,
        body=body,
        accepted_utc=datetime.fromtimestamp(milliseconds / 1000, UTC),
    )
    return UnderstoodBatch(letter.id, entry.post_count, entry.shard, entry.id, dead_letters=[letter])

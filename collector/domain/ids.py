"""Ids: time-ordered UUIDv7 for posts, their events and batches; written as 32 hex characters on the wire.

A post's id is 48 bits of Unix milliseconds, version 7, a 12-bit counter, the variant, 42 random bits and 20
bits of event index, which are 0. Event i of the post has the same id with index i; the event that the worker
derives from event i has index 2**19 + i. Ids are therefore unique across ingest processes, ordered by
acceptance, and the same on a replay.
"""

import random
import re
import secrets
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final
from uuid import UUID

INDEX_BITS: Final = 20
TIME_BYTES: Final = 6
"""The leading bytes of an id that hold its time."""

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS

_COUNTER_BITS: Final = 12
_DERIVED: Final = 1 << (INDEX_BITS - 1)
_BELOW_TIME_BITS: Final = 80
_RANDOM_BITS: Final = 42
_VERSION: Final = 7 << 76
_VARIANT: Final = 2 << 62
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_OBJECT_ID: Final = re.compile(r"[a-zA-Z0-9]{24,36}")
_REFERENCE_ID: Final = re.compile(r"[a-zA-Z0-9-]{8,100}")
_HEX_LENGTH: Final = 32


class PostIds:
    """Generates post ids (and batch ids) for one process; they increase even when the clock steps back.

    The counter grows within one millisecond; when it overflows, the time in the id runs ahead of the clock.
    """

    def __init__(self, random_bits: Callable[[int], int] | None = None) -> None:
        # Ids must be unique, not secret: a randomly seeded generator costs a tenth of a system call.
        self._random_bits = random_bits or random.Random(secrets.randbits(256)).getrandbits  # noqa: S311
        self._tick = 0

    def next(self, now_ms: int) -> bytes:
        """The next id, as 16 bytes with event index 0."""
        self._tick = max(self._tick + 1, now_ms << _COUNTER_BITS)
        milliseconds, counter = self._tick >> _COUNTER_BITS, self._tick & ((1 << _COUNTER_BITS) - 1)
        noise = self._random_bits(_RANDOM_BITS) << INDEX_BITS
        return (milliseconds << 80 | _VERSION | counter << 64 | _VARIANT | noise).to_bytes(16, "big")


def event_id(post_id: bytes, index: int) -> bytes:
    """The id of the event at `index` (0 to 2**20 - 1) of a post."""
    if not index:
        return post_id
    return (int.from_bytes(post_id, "big") | index).to_bytes(16, "big")


def derived_event_id(event_id: bytes) -> bytes:
    """The id of the event that the worker derives from this one; both belong to the same partition."""
    return (int.from_bytes(event_id, "big") | _DERIVED).to_bytes(16, "big")


def original_event_id(event_id: bytes) -> bytes:
    """The id of the event that this one was derived from; for an event as sent, its own id."""
    return (int.from_bytes(event_id, "big") & ~_DERIVED).to_bytes(16, "big")


def derived_id(milliseconds: int, digest: bytes) -> UUID:
    """A reproducible id for what was sent without one, from its time and a digest (10 bytes or more)."""
    random = int.from_bytes(digest[:10], "big")
    fields = random & ~(0xF << 76) & ~(3 << 62)
    return UUID(int=milliseconds << 80 | _VERSION | _VARIANT | fields)


def accepted_ms(post_id: bytes) -> int:
    """When the post was accepted, in Unix milliseconds; takes a post's id or an event's."""
    return int.from_bytes(post_id[:TIME_BYTES], "big")


def accepted_at(post_id: bytes) -> datetime:
    """When the post was accepted, in UTC. This is "now" in every rule about its events."""
    return _decode_time(post_id[:TIME_BYTES])


# Cached because many posts are accepted within one millisecond.
@lru_cache(maxsize=1024)
def _decode_time(time: bytes) -> datetime:
    return _EPOCH + timedelta(milliseconds=accepted_ms(time))


def lowest_id(moment: datetime) -> UUID:
    """The smallest id that can be accepted at or after `moment`."""
    return lowest_id_at_ms((moment - _EPOCH) // timedelta(milliseconds=1))


def lowest_id_at_ms(milliseconds: int) -> UUID:
    """The smallest id that can be accepted at this Unix time in milliseconds."""
    return UUID(int=milliseconds << _BELOW_TIME_BITS)


def ids_of_day(day: date) -> tuple[UUID, UUID]:
    """The first id and the end of the ids that are accepted on this UTC day: the bounds of a partition."""
    number = (day - _EPOCH.date()).days
    return lowest_id_at_ms(number * DAY_MS), lowest_id_at_ms((number + 1) * DAY_MS)


def is_object_id(text: str) -> bool:
    """Whether the text meets the route constraint for ids; any other text matches no route (404)."""
    return _OBJECT_ID.fullmatch(text) is not None


def is_reference_id(text: str) -> bool:
    """Whether the text can be a client's reference id: 8 to 100 letters, digits or `-`."""
    return _REFERENCE_ID.fullmatch(text) is not None


def parse_uuid(text: str) -> UUID | None:
    """Parse an id from a path or body; None where it meets the route constraint but is not one of ours."""
    if len(text) != _HEX_LENGTH or not is_object_id(text):
        return None
    try:
        return UUID(hex=text)
    except ValueError:
        return None

"""Ids: time-ordered UUIDv7 for posts, their events and batches; written as 32 hex characters on the wire.

A post's id is 48 bits of Unix milliseconds, version 7, a 12-bit counter, the variant, 42 random bits and 20
bits of place, which are 0. Event i of the post has the same id with place i; what the worker derives from
event i has place 2**19 + i. So ids are unique over several ingest processes, ordered by acceptance, and a
replay makes the same ones.
"""

import random
import re
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from uuid import UUID

PLACE_BITS: Final = 20
TIME_BYTES: Final = 6
"""An id begins with its time."""

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS

_COUNTER_BITS: Final = 12
_DERIVED: Final = 1 << (PLACE_BITS - 1)
_BELOW_TIME_BITS: Final = 80
_RANDOM_BITS: Final = 42
_VERSION: Final = 7 << 76
_VARIANT: Final = 2 << 62
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_OBJECT_ID: Final = re.compile(r"[a-zA-Z0-9]{24,36}")
_REFERENCE_ID: Final = re.compile(r"[a-zA-Z0-9-]{8,100}")
_HEX_LENGTH: Final = 32


class PostIds:
    """Makes post ids (and batch ids) for one process, ever greater even when the clock steps back.

    Within one millisecond the counter grows; when it is used up, the id's time runs ahead of the clock.
    """

    def __init__(self, random_bits: Callable[[int], int] | None = None) -> None:
        # Ids must be unique, not secret: a generator with a random seed costs a tenth of asking the system.
        self._random_bits = random_bits or random.Random(secrets.randbits(256)).getrandbits  # noqa: S311
        self._tick = 0

    def next(self, now_ms: int) -> bytes:
        """The next id, as 16 bytes with place 0."""
        self._tick = max(self._tick + 1, now_ms << _COUNTER_BITS)
        milliseconds, counter = self._tick >> _COUNTER_BITS, self._tick & ((1 << _COUNTER_BITS) - 1)
        noise = self._random_bits(_RANDOM_BITS) << PLACE_BITS
        return (milliseconds << 80 | _VERSION | counter << 64 | _VARIANT | noise).to_bytes(16, "big")


def event_id(post_id: bytes, place: int) -> bytes:
    """The id of the event at `place` (0 to 2**20 - 1) of a post."""
    if not place:
        return post_id
    return (int.from_bytes(post_id, "big") | place).to_bytes(16, "big")


def derived_event_id(event_id: bytes) -> bytes:
    """The id of the event that the worker derives from this one; it belongs to the same partition."""
    return (int.from_bytes(event_id, "big") | _DERIVED).to_bytes(16, "big")


def origin_of(event_id: bytes) -> bytes:
    """The id of the event that this one was derived from, or its own where nothing derived it."""
    return (int.from_bytes(event_id, "big") & ~_DERIVED).to_bytes(16, "big")


def derived_id(milliseconds: int, digest: bytes) -> UUID:
    """The id of something that carries none of its own, from its time and a digest of at least 10 bytes."""
    random = int.from_bytes(digest[:10], "big")
    fields = random & ~(0xF << 76) & ~(3 << 62)
    return UUID(int=milliseconds << 80 | _VERSION | _VARIANT | fields)


def accepted_ms(post_id: bytes) -> int:
    """When the post, or the one of this event's id, was accepted, in Unix milliseconds."""
    return int.from_bytes(post_id[:TIME_BYTES], "big")


def accepted_at(post_id: bytes) -> datetime:
    """When the post was accepted, in UTC. This is "now" in every rule about its events."""
    return _moment(post_id[:TIME_BYTES])


@lru_cache(maxsize=1024)
def _moment(time: bytes) -> datetime:
    """Many posts are accepted within one millisecond."""
    return _EPOCH + timedelta(milliseconds=accepted_ms(time))


def lowest_id(moment: datetime) -> UUID:
    """The smallest id that something accepted at or after `moment` can have: where a partition begins."""
    return lowest_id_at_ms((moment - _EPOCH) // timedelta(milliseconds=1))


def lowest_id_at_ms(milliseconds: int) -> UUID:
    """The smallest id that something accepted then can have."""
    return UUID(int=milliseconds << _BELOW_TIME_BITS)


def is_object_id(text: str) -> bool:
    """Whether the text meets the route constraint for ids; anything else is no route at all (404)."""
    return _OBJECT_ID.fullmatch(text) is not None


def is_reference_id(text: str) -> bool:
    """Whether the text can be a client's reference id: 8 to 100 letters, digits or `-`."""
    return _REFERENCE_ID.fullmatch(text) is not None


def parse_uuid(text: str) -> UUID | None:
    """The id that a path or body names; None when it meets the constraint but can be no id of ours."""
    if len(text) != _HEX_LENGTH or not is_object_id(text):
        return None
    try:
        return UUID(hex=text)
    except ValueError:
        return None
